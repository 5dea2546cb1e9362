import { FormatError } from "../format-error.ts";
import { COMPANIONS, foreignGlobal } from "./companions.ts";
import { STORAGE_CLASSES, TORCH_ELEMENTS, type TorchElement } from "./elements.ts";
import {
  PickleGlobal,
  PickleList,
  type PickleTuple,
  type PickleValue,
  TorchStorage,
  TorchTensor,
  UnusableTensor,
} from "./pickle-values.ts";

/** PyTorch allows 64; and a shape shared by many tensors must not make each of them slow. */
const MAX_DIMENSIONS = 64;

const TENSOR = new PickleGlobal("torch.Tensor");
const PARAMETER = new PickleGlobal("torch.nn.parameter.Parameter", { call: dataOfParameter });
const UNTYPED_STORAGE = new PickleGlobal("torch.storage.UntypedStorage");

/** Functions that PyTorch pickles a plain tensor with. Their arguments: `torch/_utils.py`. */
const REBUILD: readonly PickleGlobal[] = [
  new PickleGlobal("torch._utils._rebuild_tensor", { call: typedTensor }),
  new PickleGlobal("torch._utils._rebuild_tensor_v2", { call: typedTensor }),
  new PickleGlobal("torch._utils._rebuild_tensor_v3", { call: untypedTensor }),
  new PickleGlobal("torch._utils._rebuild_parameter", { call: dataOfParameter }),
  new PickleGlobal("torch._utils._rebuild_parameter_with_state", { call: dataOfParameter }),
];

const UNUSABLE: Readonly<Record<string, string>> = {
  _rebuild_qtensor: "quantised",
  _rebuild_sparse_tensor: "sparse",
  _rebuild_meta_tensor_no_storage: "without data (on the meta device)",
  _rebuild_nested_tensor: "nested",
  _rebuild_wrapper_subclass: "of a class of its own",
};

const GLOBALS: ReadonlyMap<string, PickleGlobal> = new Map(
  [
    TENSOR,
    PARAMETER,
    UNTYPED_STORAGE,
    ...REBUILD,
    new PickleGlobal("torch._tensor._rebuild_from_type_v2", { call: attributedTensor }),
    new PickleGlobal("torch.Size", { call: onlyTuple }),
    new PickleGlobal("collections.OrderedDict", { call: dict }),
    ...[...TORCH_ELEMENTS.values()].map((element) => new PickleGlobal(`torch.${element.name}`, { element })),
    ...Object.entries(STORAGE_CLASSES).map(([name, element]) => new PickleGlobal(`torch.${name}`, elementOf(element))),
    ...Object.entries(UNUSABLE).map(
      ([name, kind]) => new PickleGlobal(`torch._utils.${name}`, { call: () => new UnusableTensor(kind) }),
    ),
    ...COMPANIONS,
  ].map((global) => [global.name, global]),
);

/** Names that mean the same, from other versions of PyTorch. */
const RENAMED: ReadonlyMap<string, PickleGlobal> = new Map([
  ["torch.storage._UntypedStorage", UNTYPED_STORAGE],
  ["torch.UntypedStorage", UNTYPED_STORAGE],
  ["torch.nn.Parameter", PARAMETER],
]);

/**
 * What a name in a pickle stands for. No module is ever loaded, and nothing is ever called but the functions of this file.
 * @throws FormatError `pickle-global` for every name but the few that a state dict needs, and classes whose objects
 *   training programs keep beside one.
 */
export function lookUpGlobal(module: string, name: string): PickleGlobal {
  const full = `${module}.${name}`;
  const found = GLOBALS.get(full) ?? RENAMED.get(full) ?? foreignGlobal(module, name);
  if (found !== undefined) return found;
  throw foreignName(full);
}

/** What is said of a class or function that has no place in a state dict. */
export function foreignName(name: string): FormatError {
  return new FormatError(
    "pickle-global",
    `the file asks for ${JSON.stringify(name).slice(1, -1)}, which is no part of a state dict: nothing in it was run`,
    "use the model's safetensors weights; or, where you trust the file, load it with PyTorch and save only its state_dict()",
  );
}

/**
 * The storage that a persistent id stands for: `("storage", class, key, device, count)`, and in old files
 * `(key, start, count)` of the part of it that is meant, or None.
 */
export function storageOf(id: PickleValue): TorchStorage {
  if (!isTuple(id)) throw malformed("a persistent id is no tuple");
  const [kind, type, key, , count, part] = id;
  const isStorage = type instanceof PickleGlobal && (type === UNTYPED_STORAGE || type.element !== undefined);
  if (kind !== "storage" || !isStorage || typeof key !== "string" || !isSize(count)) {
    throw malformed("a persistent id is none of a storage");
  }
  const storage = new TorchStorage(key, type.element, count, partStart(part, count));
  if (!Number.isSafeInteger(storage.bytes)) throw malformed(`a storage has ${count} elements`);
  return storage;
}

/** Where a storage that is part of another begins in it, in elements. */
function partStart(part: PickleValue | undefined, count: number): number {
  if (part === undefined || part === null) return 0;
  const [, start, size] = isTuple(part) ? part : [];
  if (!isSize(start) || !isSize(size) || start + size > count) throw malformed("a storage is no part of its root");
  return start;
}

/** `(storage, start, shape, strides, …)`: the elements are the storage's. */
function typedTensor(args: PickleTuple): PickleValue {
  const storage = args[0];
  if (!(storage instanceof TorchStorage) || storage.element === undefined)
    throw malformed("a tensor has no typed storage");
  return tensor(storage, storage.element, args);
}

/** `(storage, start, shape, strides, requires_grad, hooks, dtype, …)`: the storage counts bytes. */
function untypedTensor(args: PickleTuple): PickleValue {
  const [storage, , , , , , dtype] = args;
  if (!(storage instanceof TorchStorage)) throw malformed("a tensor has no storage");
  if (!(dtype instanceof PickleGlobal) || dtype.element === undefined) throw malformed("a tensor has no dtype");
  return tensor(storage, dtype.element, args);
}

function tensor(storage: TorchStorage, element: TorchElement, args: PickleTuple): TorchTensor {
  const [, start, shape, strides] = args;
  if (!isSize(start) || !isSizes(shape) || !isSizes(strides) || shape.length !== strides.length) {
    throw malformed("a tensor's start, shape and strides are not whole numbers that fit together");
  }
  return new TorchTensor(storage, element, start, shape, strides);
}

/** `(tensor, requires_grad, …)`. */
function dataOfParameter(args: PickleTuple): PickleValue {
  const data = args[0];
  if (data instanceof TorchTensor || data instanceof UnusableTensor) return data;
  throw malformed("a parameter has no tensor");
}

/** `(rebuild, class, arguments, state)`: a tensor with attributes, which do not matter here. */
function attributedTensor(args: PickleTuple): PickleValue {
  const [rebuild, type, inner] = args;
  const isKnown = rebuild instanceof PickleGlobal && REBUILD.includes(rebuild);
  if (type instanceof PickleGlobal && !isKnown) return new UnusableTensor(`made by ${type.name}`);
  if (type instanceof PickleGlobal && type.opaque !== undefined) return new UnusableTensor(`of class ${type.name}`);
  if (!isKnown || !isTuple(inner) || (type !== TENSOR && type !== PARAMETER))
    throw malformed("a tensor is of no known class");
  return rebuild.call?.(inner) ?? null;
}

function onlyTuple(args: PickleTuple): PickleValue {
  const only = args[0];
  if (args.length !== 1 || !isTuple(only)) throw malformed("a torch.Size is no tuple");
  return only;
}

/** Python 3 makes an OrderedDict empty and then sets its items; Python 2 gave them as a list of pairs. */
function dict(args: PickleTuple): PickleValue {
  const [pairs] = args;
  if (pairs === undefined) return new Map();
  if (!(pairs instanceof PickleList)) throw malformed("an OrderedDict is made of no list");
  return new Map(pairs.items.map(pairOf));
}

function pairOf(pair: PickleValue): [PickleValue, PickleValue] {
  const [key, value] = pair instanceof PickleList ? pair.items : isTuple(pair) ? pair : [];
  if (key === undefined || value === undefined) throw malformed("an OrderedDict is made of no pairs");
  return [key, value];
}

function elementOf(name: string): { element: TorchElement } {
  const element = TORCH_ELEMENTS.get(name);
  if (element === undefined) throw new Error(`no element type ${name}`);
  return { element };
}

export function isTuple(value: PickleValue | undefined): value is PickleTuple {
  return Array.isArray(value);
}

function isSizes(value: PickleValue | undefined): value is readonly number[] {
  return isTuple(value) && value.length <= MAX_DIMENSIONS && value.every(isSize);
}

function isSize(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function malformed(what: string): FormatError {
  return new FormatError("pickle-form", `not a state dict that PyTorch wrote: ${what}`);
}
