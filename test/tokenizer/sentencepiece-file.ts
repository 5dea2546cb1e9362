/** Text, score and type of a piece; type 1, a usual one, where there is none. */
export type FilePiece = readonly [string, number, number?];

/** Writes a SentencePiece model: the parts of sentencepiece_model.proto that a reader of vocabularies needs. */
export function sentencePiece(
  pieces: readonly FilePiece[],
  { type = 1, byteFallback = false, removeExtraWhitespaces = true } = {},
): Uint8Array {
  const trainer = [...number(3, type), ...number(35, byteFallback ? 1 : 0)];
  const normalizer = [...bytes(1, Buffer.from("identity")), ...number(4, removeExtraWhitespaces ? 1 : 0)];
  return Uint8Array.from([
    ...pieces.flatMap((piece) => bytes(1, pieceBytes(piece))),
    ...bytes(2, trainer),
    ...bytes(3, normalizer),
  ]);
}

function pieceBytes([text, score, type = 1]: FilePiece): number[] {
  const float = new Uint8Array(Float32Array.of(score).buffer);
  return [...bytes(1, Buffer.from(text)), ...varint(2 * 8 + 5), ...float, ...number(3, type)];
}

function number(field: number, value: number): number[] {
  return [...varint(field * 8), ...varint(value)];
}

function bytes(field: number, content: Iterable<number>): number[] {
  const list = [...content];
  return [...varint(field * 8 + 2), ...varint(list.length), ...list];
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >> 7)];
}
