import { ByteWriter } from "./byte-writer.ts";

/**
 * Writes the few opcodes of pickle protocol 2 that a state dict needs.
 * Source of the opcodes: CPython's `Lib/pickletools.py`.
 */
export class PickleWriter {
  private readonly out = new ByteWriter(1 << 16);

  start(): void {
    this.out.u8(0x80).u8(2);
  }

  /** @returns the whole pickle. */
  stop(): Uint8Array {
    return this.out.u8(0x2e).result();
  }

  emptyDict(): void {
    this.out.u8(0x7d);
  }

  /** Opens a tuple (closed by `tuple`) or the items of a dict (closed by `setItems`). */
  mark(): void {
    this.out.u8(0x28);
  }

  tuple(): void {
    this.out.u8(0x74);
  }

  emptyTuple(): void {
    this.out.u8(0x29);
  }

  setItems(): void {
    this.out.u8(0x75);
  }

  /** Calls the callable below the tuple of arguments on top of the stack. */
  reduce(): void {
    this.out.u8(0x52);
  }

  /** Replaces the tuple on top of the stack by what the reader's `persistent_load` makes of it. */
  persistentId(): void {
    this.out.u8(0x51);
  }

  false(): void {
    this.out.u8(0x89);
  }

  global(module: string, name: string): void {
    this.out.u8(0x63).text(`${module}\n${name}\n`);
  }

  text(value: string): void {
    this.out.u8(0x58).u32(Buffer.byteLength(value)).text(value);
  }

  /** From 0 to below 2^47. */
  integer(value: number): void {
    if (value < 0x100) this.out.u8(0x4b).u8(value);
    else if (value < 0x80000000) this.out.u8(0x4a).u32(value);
    else {
      // LONG1: a signed number of 6 bytes.
      this.out.u8(0x8a).u8(6);
      this.out.u32(value % 2 ** 32).u16(Math.floor(value / 2 ** 32));
    }
  }
}
