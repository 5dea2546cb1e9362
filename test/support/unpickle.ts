/** What a pickle refers to outside itself. */
export interface PickleWorld {
  /** Gives the object of a persistent id. */
  persistent(id: unknown): unknown;
  /** Calls `module.name`. @throws where a safe reader would refuse it. */
  call(callable: string, args: readonly unknown[]): unknown;
}

const MARK = Symbol("mark");

/**
 * The opcodes that a dictionary of tensors needs, by their codes in Python's pickletools (protocol 2). Dictionaries
 * become maps, tuples arrays.
 */
export function unpickle(bytes: Uint8Array, world: PickleWorld): unknown {
  return new Machine(bytes, world).run();
}

class Machine {
  readonly #file: Buffer;
  readonly #world: PickleWorld;
  readonly #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();
  #at = 0;

  constructor(bytes: Uint8Array, world: PickleWorld) {
    this.#file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#world = world;
  }

  run(): unknown {
    for (;;) {
      const opcode = String.fromCharCode(this.#unsigned(1));
      if (opcode === ".") return this.#stack.pop();
      if (!this.#constant(opcode) && !this.#memory(opcode) && !this.#build(opcode)) {
        throw new Error(`no checkpoint needs the pickle opcode 0x${opcode.charCodeAt(0).toString(16)}`);
      }
    }
  }

  #unsigned(width: 1 | 2 | 4): number {
    this.#at += width;
    return this.#file.readUIntLE(this.#at - width, width);
  }

  #signed(width: number): number {
    this.#at += width;
    return width === 0 ? 0 : this.#file.readIntLE(this.#at - width, width);
  }

  #text(length: number): string {
    this.#at += length;
    return this.#file.toString("utf8", this.#at - length, this.#at);
  }

  #line(): string {
    const text = this.#text(this.#file.indexOf(0x0a, this.#at) - this.#at);
    this.#at += 1;
    return text;
  }

  #sinceMark(): unknown[] {
    return this.#stack.splice(this.#stack.lastIndexOf(MARK)).slice(1);
  }

  #take(count: number): unknown[] {
    return this.#stack.splice(this.#stack.length - count);
  }

  #constant(opcode: string): boolean {
    const push = (value: unknown) => this.#stack.push(value) > 0;
    switch (opcode) {
      case "\x80":
        return this.#unsigned(1) >= 2;
      case "c":
        return push(`${this.#line()}.${this.#line()}`);
      case "X":
        return push(this.#text(this.#unsigned(4)));
      case "K":
        return push(this.#unsigned(1));
      case "M":
        return push(this.#unsigned(2));
      case "J":
        return push(this.#signed(4));
      case "\x8a":
        return push(this.#signed(this.#unsigned(1)));
      case "\x88":
      case "\x89":
        return push(opcode === "\x88");
      case "N":
        return push(undefined);
      default:
        return false;
    }
  }

  #memory(opcode: string): boolean {
    if (opcode === "q" || opcode === "r") this.#memo.set(this.#unsigned(opcode === "q" ? 1 : 4), this.#stack.at(-1));
    else if (opcode === "h" || opcode === "j") this.#stack.push(this.#memo.get(this.#unsigned(opcode === "h" ? 1 : 4)));
    else return false;
    return true;
  }

  #build(opcode: string): boolean {
    const push = (value: unknown) => this.#stack.push(value) > 0;
    switch (opcode) {
      case "(":
        return push(MARK);
      case ")":
        return push([]);
      case "}":
        return push(new Map());
      case "t":
        return push(this.#sinceMark());
      case "\x85":
      case "\x86":
      case "\x87":
        return push(this.#take(opcode.charCodeAt(0) - 0x84));
      case "Q":
        return push(this.#world.persistent(this.#stack.pop()));
      case "R": {
        const [callable, args] = this.#take(2) as [string, unknown[]];
        return push(this.#world.call(callable, args));
      }
      case "s":
        return this.#setItems(this.#take(2));
      case "u":
        return this.#setItems(this.#sinceMark());
      default:
        return false;
    }
  }

  #setItems(items: readonly unknown[]): boolean {
    const map = this.#stack.at(-1) as Map<unknown, unknown>;
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
    return true;
  }
}
