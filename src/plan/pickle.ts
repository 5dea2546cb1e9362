/**
 * Writes the few opcodes of pickle protocol 2 that a state dict needs.
 * Source of the opcodes: CPython's `Lib/pickletools.py`.
 */
export class PickleWriter {
  private bytes = new Uint8Array(1 << 16);
  private length = 0;

  start(): void {
    this.raw(0x80, 2);
  }

  /** @returns the whole pickle. */
  stop(): Uint8Array {
    this.raw(0x2e);
    return this.bytes.slice(0, this.length);
  }

  emptyDict(): void {
    this.raw(0x7d);
  }

  /** Opens a tuple (closed by `tuple`) or the items of a dict (closed by `setItems`). */
  mark(): void {
    this.raw(0x28);
  }

  tuple(): void {
    this.raw(0x74);
  }

  emptyTuple(): void {
    this.raw(0x29);
  }

  setItems(): void {
    this.raw(0x75);
  }

  /** Calls the callable below the tuple of arguments on top of the stack. */
  reduce(): void {
    this.raw(0x52);
  }

  /** Replaces the tuple on top of the stack by what the reader's `persistent_load` makes of it. */
  persistentId(): void {
    this.raw(0x51);
  }

  false(): void {
    this.raw(0x89);
  }

  global(module: string, name: string): void {
    this.raw(0x63);
    this.append(new TextEncoder().encode(`${module}\n${name}\n`));
  }

  text(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.raw(0x58);
    this.append(littleEndian(bytes.length, 4));
    this.append(bytes);
  }

  /** A non-negative integer below 2^53. */
  integer(value: number): void {
    if (value < 0x100) this.raw(0x4b, value);
    else if (value < 0x80000000) {
      this.raw(0x4a);
      this.append(littleEndian(value, 4));
    } else {
      // LONG1: a signed little-endian number of the given length; the eighth byte keeps it positive.
      this.raw(0x8a, 8);
      this.append(littleEndian(value, 8));
    }
  }

  private raw(...values: number[]): void {
    this.append(Uint8Array.from(values));
  }

  private append(values: Uint8Array): void {
    if (this.length + values.length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + values.length));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    this.bytes.set(values, this.length);
    this.length += values.length;
  }
}

/** A non-negative integer below 2^53 in `width` bytes. */
export function littleEndian(value: number, width: number): Uint8Array {
  const bytes = new Uint8Array(width);
  let rest = value;
  for (let i = 0; i < width; i++) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}
