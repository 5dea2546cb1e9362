import { FormatError } from "../format-error.ts";
import { PickleBytes } from "./pickle-bytes.ts";
import { isTuple, lookUpGlobal, storageOf } from "./pickle-globals.ts";
import { OP, opcodeName } from "./pickle-opcodes.ts";
import {
  OpaqueValue,
  PickleGlobal,
  PickleList,
  type PickleTuple,
  type PickleValue,
  type TorchStorage,
} from "./pickle-values.ts";

/**
 * What a pickle may cost, whatever its size: values pushed (a tensor takes about 35), and among them those with memory of
 * their own (a tensor takes about 8 texts, tuples and the like). Enough for half a million tensors; a gigabyte at worst.
 */
const MAX_VALUES = 32_000_000;
const MAX_OBJECTS = 4_000_000;

const EMPTY: PickleTuple = [];
const NO_MARK = 0;

export interface Pickle {
  value: PickleValue;
  /** By key, each as it is first met. */
  storages: ReadonlyMap<string, TorchStorage>;
  /** Classes and functions that no state dict needs: nothing of them was run. */
  foreign: readonly string[];
  /** Where the pickle ends. */
  end: number;
}

/**
 * Reads one pickle (protocol 2 to 5) without executing anything: globals are looked up in a short list of names, and
 * what they "return" are values of this program.
 * @param start where the pickle begins in `bytes`.
 * @throws FormatError: `pickle-global` and `pickle-opcode` for what a state dict does not need, `pickle-truncated`,
 *   `pickle-form` and `pickle-limit`.
 */
export function readPickle(bytes: Buffer, start = 0): Pickle {
  return new PickleMachine(bytes, start).run();
}

class PickleMachine {
  private readonly input: PickleBytes;
  private readonly stack: PickleValue[] = [];
  /** Heights of the stack at which marks stand. */
  private readonly marks: number[] = [];
  /** Below this height the stack is closed until the mark is taken away. */
  private floor = NO_MARK;
  private readonly memo: PickleValue[] = [];
  private readonly storages = new Map<string, TorchStorage>();
  private readonly foreign = new Set<string>();
  private values = 0;
  private objects = 0;

  constructor(bytes: Buffer, start: number) {
    this.input = new PickleBytes(bytes, start);
  }

  run(): Pickle {
    for (;;) {
      const opcode = this.input.u8();
      if (opcode === OP.STOP) return this.result();
      if (this.values > MAX_VALUES || this.objects > MAX_OBJECTS) throw tooMany();
      if (!this.remember(opcode) && !this.pushScalar(opcode) && !this.build(opcode) && !this.refer(opcode)) {
        throw new FormatError(
          "pickle-opcode",
          `the file has the pickle opcode ${opcodeName(opcode)}, which no state dict needs: nothing in it was run`,
          "use the model's safetensors weights, or save its state_dict() with torch.save",
        );
      }
    }
  }

  private result(): Pickle {
    const { storages, foreign } = this;
    return { value: this.pop(), storages, foreign: [...foreign], end: this.input.position };
  }

  /** Opcodes of the memo and of the frame around the values. @returns whether the opcode is one of them. */
  private remember(opcode: number): boolean {
    const { input } = this;
    switch (opcode) {
      case OP.BINPUT:
        this.put(input.u8());
        return true;
      case OP.LONG_BINPUT:
        this.put(input.u32());
        return true;
      case OP.MEMOIZE:
        this.put(this.memo.length);
        return true;
      case OP.BINGET:
        this.get(input.u8());
        return true;
      case OP.LONG_BINGET:
        this.get(input.u32());
        return true;
      case OP.MARK:
        if (this.marks.length >= MAX_OBJECTS) throw tooMany();
        this.marks.push(this.stack.length);
        this.floor = this.stack.length;
        return true;
      case OP.PROTO: {
        const protocol = input.u8();
        if (protocol < 2 || protocol > 5) throw malformed(`pickle protocol ${protocol}`);
        return true;
      }
      case OP.FRAME:
        input.skip(8);
        return true;
      default:
        return false;
    }
  }

  /** Opcodes that push a value without parts. */
  private pushScalar(opcode: number): boolean {
    const { input } = this;
    switch (opcode) {
      case OP.BINUNICODE:
      case OP.BINSTRING:
        return this.pushObject(input.text(input.u32()));
      case OP.SHORT_BINUNICODE:
      case OP.SHORT_BINSTRING:
        return this.pushObject(input.text(input.u8()));
      case OP.BININT1:
        return this.push(input.u8());
      case OP.BININT2:
        return this.push(input.u16());
      case OP.BININT:
        return this.push(input.i32());
      case OP.LONG1:
        return this.pushObject(input.integer(input.u8()));
      case OP.BINFLOAT:
        return this.push(input.f64());
      case OP.NONE:
        return this.push(null);
      case OP.NEWTRUE:
      case OP.NEWFALSE:
        return this.push(opcode === OP.NEWTRUE);
      case OP.BINBYTES:
        return this.pushObject(input.raw(input.u32()));
      case OP.SHORT_BINBYTES:
        return this.pushObject(input.raw(input.u8()));
      default:
        return false;
    }
  }

  /** Opcodes that make tuples, lists and dicts, and fill them. */
  private build(opcode: number): boolean {
    switch (opcode) {
      case OP.EMPTY_TUPLE:
        return this.push(EMPTY);
      case OP.TUPLE:
        return this.pushObject(this.popToMark());
      case OP.TUPLE1:
      case OP.TUPLE2:
      case OP.TUPLE3:
        return this.pushObject(this.popMany(opcode - OP.TUPLE1 + 1));
      case OP.EMPTY_LIST:
      case OP.EMPTY_SET:
        return this.pushObject(new PickleList());
      case OP.EMPTY_DICT:
        return this.pushObject(new Map());
      case OP.APPEND:
        return this.append(this.popMany(1));
      case OP.APPENDS:
      case OP.ADDITEMS:
        return this.append(this.popToMark());
      case OP.SETITEM:
        return this.setItems(this.popMany(2));
      case OP.SETITEMS:
        return this.setItems(this.popToMark());
      default:
        return false;
    }
  }

  /** Opcodes that reach for what is outside the pickle: names, calls, storages, the state of objects. */
  private refer(opcode: number): boolean {
    switch (opcode) {
      case OP.GLOBAL: {
        const module = this.input.line();
        return this.pushGlobal(module, this.input.line());
      }
      case OP.STACK_GLOBAL: {
        const [module, name] = this.popMany(2);
        if (typeof module !== "string" || typeof name !== "string") throw malformed("a global has no name");
        return this.pushGlobal(module, name);
      }
      case OP.BINPERSID:
        return this.pushPersistent(this.pop());
      case OP.REDUCE: {
        const [callable, args] = this.popMany(2);
        if (!(callable instanceof PickleGlobal) || callable.call === undefined) throw malformed("it calls no function");
        if (!isTuple(args)) throw malformed(`${callable.name} has no arguments`);
        return this.pushObject(callable.call(args));
      }
      case OP.NEWOBJ:
        return this.pushPresence(this.popMany(2));
      case OP.NEWOBJ_EX:
        return this.pushPresence(this.popMany(3));
      case OP.BUILD:
        this.ignoreState();
        return true;
      default:
        return false;
    }
  }

  /** State dicts carry versions of modules as a state of the dict: nothing here needs them. */
  private ignoreState(): void {
    this.pop();
    const target = this.top();
    if (!(target instanceof Map) && !(target instanceof OpaqueValue)) throw malformed("a state of no dict");
  }

  private pushGlobal(module: string, name: string): true {
    const global = lookUpGlobal(module, name);
    if (global.opaque?.foreign !== undefined) this.foreign.add(global.name);
    return this.push(global);
  }

  /** An object of a class, made without a call: only what is nothing but its presence is made so. */
  private pushPresence([type]: readonly PickleValue[]): true {
    if (!(type instanceof PickleGlobal) || type.opaque === undefined) throw malformed("it makes an object of no class");
    return this.push(type.opaque);
  }

  private push(value: PickleValue): true {
    this.values++;
    this.stack.push(value);
    return true;
  }

  private pushObject(value: PickleValue): true {
    this.objects++;
    return this.push(value);
  }

  /** A storage; or, in old files, the class of a layer, with its source code: `("module", class, …)`. */
  private pushPersistent(id: PickleValue): true {
    const [kind, type] = isTuple(id) ? id : [];
    if (kind === "module" && type instanceof PickleGlobal && type.opaque !== undefined) return this.push(type);
    const storage = storageOf(id);
    if (!this.storages.has(storage.key)) this.storages.set(storage.key, storage);
    return this.pushObject(storage);
  }

  private pop(): PickleValue {
    if (this.stack.length <= this.floor) throw malformed("it takes a value that it did not give");
    return this.stack.pop() as PickleValue;
  }

  private popMany(count: number): PickleValue[] {
    if (this.stack.length - count < this.floor) throw malformed("it takes a value that it did not give");
    return this.cut(this.stack.length - count);
  }

  private popToMark(): PickleValue[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw malformed("it takes a mark that it did not set");
    this.floor = this.marks.at(-1) ?? NO_MARK;
    return this.cut(mark);
  }

  /** What lies above a height of the stack, taken off. */
  private cut(height: number): PickleValue[] {
    const values = this.stack.slice(height);
    this.stack.length = height;
    return values;
  }

  private top(): PickleValue {
    if (this.stack.length <= this.floor) throw malformed("it needs a value that it did not give");
    return this.stack.at(-1) as PickleValue;
  }

  private append(items: readonly PickleValue[]): true {
    const list = this.top();
    if (list instanceof OpaqueValue) return true;
    if (!(list instanceof PickleList)) throw malformed("it appends to no list");
    for (const item of items) list.items.push(item);
    return true;
  }

  private setItems(items: readonly PickleValue[]): true {
    const dict = this.top();
    if (dict instanceof OpaqueValue) return true;
    if (!(dict instanceof Map) || items.length % 2 !== 0) throw malformed("it sets items of no dict");
    for (let i = 0; i < items.length; i += 2) dict.set(items[i] as PickleValue, items[i + 1] as PickleValue);
    return true;
  }

  /** Every pickler numbers its memo without gaps, Python 2 from 1 on. */
  private put(index: number): void {
    if (index > this.memo.length + 1) throw malformed(`its memo goes from ${this.memo.length} to ${index}`);
    this.memo[index] = this.top();
  }

  private get(index: number): void {
    const value = this.memo[index];
    if (value === undefined) throw malformed(`its memo has no ${index}`);
    this.push(value);
  }
}

function malformed(what: string): FormatError {
  return new FormatError("pickle-form", `not a state dict that PyTorch wrote: ${what}`);
}

function tooMany(): FormatError {
  return new FormatError("pickle-limit", `the pickle holds more than ${MAX_VALUES} values or ${MAX_OBJECTS} objects`);
}
