/** Bytes of a file format, appended in order. Numbers are non-negative integers below 2^53, little-endian. */
export class ByteWriter {
  private bytes: Uint8Array;
  private view: DataView;
  private length = 0;

  /** @param expected about how many bytes will come; more is fine. */
  constructor(expected = 64) {
    this.bytes = new Uint8Array(expected);
    this.view = new DataView(this.bytes.buffer);
  }

  u8(value: number): this {
    const offset = this.reserve(1);
    this.view.setUint8(offset, value);
    return this;
  }

  u16(value: number): this {
    const offset = this.reserve(2);
    this.view.setUint16(offset, value, true);
    return this;
  }

  u32(value: number): this {
    const offset = this.reserve(4);
    this.view.setUint32(offset, value, true);
    return this;
  }

  u64(value: number): this {
    const offset = this.reserve(8);
    this.view.setBigUint64(offset, BigInt(value), true);
    return this;
  }

  text(value: string): this {
    return this.append(Buffer.from(value, "utf8"));
  }

  zeros(count: number): this {
    this.reserve(count);
    return this;
  }

  append(values: Uint8Array): this {
    const offset = this.reserve(values.length);
    this.bytes.set(values, offset);
    return this;
  }

  /** What was written so far. */
  result(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  /** Makes room, which may replace `bytes` and `view`. @returns the offset of `count` bytes that are zero. */
  private reserve(count: number): number {
    const offset = this.length;
    this.length += count;
    if (this.length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length));
      grown.set(this.bytes);
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    return offset;
  }
}
