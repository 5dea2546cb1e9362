import type { TorchElement } from "./elements.ts";

/** What a pickle can hold here: plain values, and the few things of PyTorch that a state dict is made of. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleTuple
  | PickleList
  | PickleDict
  | PickleGlobal
  | TorchStorage
  | TorchTensor
  | UnusableTensor
  | OpaqueValue;

export type PickleTuple = readonly PickleValue[];
export type PickleDict = Map<PickleValue, PickleValue>;

/** Lists and sets: what grows while a pickle is read. */
export class PickleList {
  readonly items: PickleValue[] = [];
}

/** A name from outside that a pickle refers to. It stands for what it names; there is nothing behind it to run. */
export class PickleGlobal {
  /** `module.name`. */
  readonly name: string;
  /** For a function or a class: the value that stands for its result. */
  readonly call: ((args: PickleTuple) => PickleValue) | undefined;
  /** For a dtype or a typed storage class. */
  readonly element: TorchElement | undefined;
  /** What only stands for its presence, and so do the objects made of it. */
  readonly opaque: OpaqueValue | undefined;

  constructor(
    name: string,
    what: { call?: (args: PickleTuple) => PickleValue; element?: TorchElement; opaque?: OpaqueValue } = {},
  ) {
    this.name = name;
    const { opaque } = what;
    this.call = opaque === undefined ? what.call : () => opaque;
    this.element = what.element;
    this.opaque = opaque;
  }
}

/** Bytes that tensors lie in. Only the file's own layout says where they are. */
export class TorchStorage {
  readonly key: string;
  /** Undefined for an untyped storage: it counts bytes. */
  readonly element: TorchElement | undefined;
  /** Elements of the storage that the file holds. */
  readonly count: number;
  /** Old files have storages that are a part of another: where it begins, in elements. */
  readonly start: number;

  constructor(key: string, element: TorchElement | undefined, count: number, start: number) {
    this.key = key;
    this.element = element;
    this.count = count;
    this.start = start;
  }

  /** Bytes of the storage that the file holds. */
  get bytes(): number {
    return this.count * this.elementBytes;
  }

  get elementBytes(): number {
    return this.element?.bytes ?? 1;
  }
}

/** A view of a storage. `start` and `strides` count elements. */
export class TorchTensor {
  readonly storage: TorchStorage;
  readonly element: TorchElement;
  readonly start: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor(
    storage: TorchStorage,
    element: TorchElement,
    start: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    this.storage = storage;
    this.element = element;
    this.start = start;
    this.shape = shape;
    this.strides = strides;
  }
}

/** A tensor that is more, or less, than a view of a storage: quantised, sparse, without data. */
export class UnusableTensor {
  readonly kind: string;

  constructor(kind: string) {
    this.kind = kind;
  }
}

/** Something that checkpoints hold beside tensors, such as a number of NumPy: kept as nothing but its presence. */
export class OpaqueValue {
  /** The class that it is of, where it could be, or hold, weights: then it has no place in a state dict. */
  readonly foreign: string | undefined;

  constructor(foreign?: string) {
    this.foreign = foreign;
  }
}
