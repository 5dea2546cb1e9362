import { FormatError } from "../format-error.ts";

const REPLACEMENT = "\ufffd";
/** The names of modules and classes are far shorter. */
const MAX_LINE_BYTES = 1000;
/** 16 bytes hold every number that PyTorch writes; Python's own have no limit. */
const MAX_INTEGER_BYTES = 16;

/** Reads a pickle's arguments from left to right. Every method throws FormatError `pickle-truncated` at the end. */
export class PickleBytes {
  position: number;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer, start: number) {
    this.bytes = bytes;
    this.position = start;
  }

  u8(): number {
    const value = this.bytes[this.position++];
    if (value === undefined) throw ended();
    return value;
  }

  u16(): number {
    return this.bytes.readUInt16LE(this.take(2));
  }

  i32(): number {
    return this.bytes.readInt32LE(this.take(4));
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.take(4));
  }

  f64(): number {
    return this.bytes.readDoubleBE(this.take(8));
  }

  skip(length: number): void {
    this.take(length);
  }

  /** A little-endian integer of `length` bytes, in two's complement: a bigint where a number is not exact. */
  integer(length: number): number | bigint {
    if (length > MAX_INTEGER_BYTES) {
      throw new FormatError("pickle-form", `not a state dict that PyTorch wrote: an integer has ${length} bytes`);
    }
    const start = this.take(length);
    if (length === 0) return 0;
    if (length <= 6) return this.bytes.readIntLE(start, length);
    const bigEndian = this.bytes.subarray(start, this.position).toReversed();
    const signed = BigInt.asIntN(8 * length, BigInt(`0x${Buffer.from(bigEndian).toString("hex")}`));
    const small = Number(signed);
    return Number.isSafeInteger(small) ? small : signed;
  }

  text(length: number): string {
    const start = this.take(length);
    const text = this.bytes.toString("utf8", start, this.position);
    if (text.includes(REPLACEMENT)) this.checkUtf8(start);
    return text;
  }

  raw(length: number): Uint8Array {
    const start = this.take(length);
    return this.bytes.subarray(start, this.position);
  }

  /** Text up to a line feed, which is passed over. */
  line(): string {
    const window = this.bytes.subarray(this.position, this.position + MAX_LINE_BYTES);
    const length = window.indexOf(0x0a);
    if (length < 0 && window.length < MAX_LINE_BYTES) throw ended();
    if (length < 0) throw new FormatError("pickle-form", "not a state dict that PyTorch wrote: a name does not end");
    const text = this.text(length);
    this.position++;
    return text;
  }

  /** Passes over `length` bytes. @returns where they begin. */
  private take(length: number): number {
    const start = this.position;
    this.position += length;
    if (this.position > this.bytes.length) throw ended();
    return start;
  }

  private checkUtf8(start: number): void {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(this.bytes.subarray(start, this.position));
    } catch {
      throw new FormatError("pickle-form", "not a state dict that PyTorch wrote: a text is not UTF-8");
    }
  }
}

function ended(): FormatError {
  return new FormatError("pickle-truncated", "the pickle ends early", "the file is truncated: fetch or copy it again");
}
