import { badTokenizer } from "./tokenizer-json.ts";

/** A field of a protobuf message: a number (varint or fixed), or the bytes of a text or of a message within. */
export interface ProtoField {
  field: number;
  value: number | Uint8Array;
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/**
 * The fields of one protobuf message in their order, as the encoding guide of Protocol Buffers has it (wire types 0, 1,
 * 2 and 5). 32-bit fixed fields are read as floats, 64-bit ones as doubles: what SentencePiece has of them.
 * @throws FormatError where the bytes end within a field.
 */
export function* protoFields(bytes: Uint8Array): Generator<ProtoField> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[position++];
      if (byte === undefined) throw cutOff();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw badTokenizer("it holds a number of more than 64 bits");
  };
  while (position < bytes.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    const wire = tag % 8;
    if (wire === VARINT) {
      yield { field, value: varint() };
      continue;
    }
    const length = wire === LENGTH_DELIMITED ? varint() : wire === FIXED32 ? 4 : wire === FIXED64 ? 8 : undefined;
    if (length === undefined || field === 0) throw badTokenizer("it is no SentencePiece model");
    const start = position;
    position += length;
    if (position > bytes.length) throw cutOff();
    if (wire === LENGTH_DELIMITED) yield { field, value: bytes.subarray(start, position) };
    else yield { field, value: wire === FIXED32 ? view.getFloat32(start, true) : view.getFloat64(start, true) };
  }
}

function cutOff() {
  return badTokenizer("it ends within a field: it is not whole, or no SentencePiece model");
}
