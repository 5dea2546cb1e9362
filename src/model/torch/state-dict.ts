import { FormatError } from "../format-error.ts";
import { isPrintable, MAX_NAME_LENGTH } from "../tensor-name.ts";
import { foreignName, isTuple } from "./pickle-globals.ts";
import {
  OpaqueValue,
  type PickleDict,
  PickleGlobal,
  PickleList,
  type PickleTuple,
  type PickleValue,
  TorchTensor,
  UnusableTensor,
} from "./pickle-values.ts";

/** Keys under which training programs keep the model, beside optimizers and counters. The first that is there counts. */
const WRAPPERS: readonly string[] = ["state_dict", "model_state_dict", "model", "module"];
const MAX_WRAPPERS = 4;
/** Far beyond what people nest, and a guard for what hostile files do. */
const MAX_DEPTH = 32;

type AnyTensor = TorchTensor | UnusableTensor;
type PickleContainer = PickleDict | PickleList | PickleTuple;

export interface StateDict {
  tensors: Map<string, AnyTensor>;
  /** The keys that led to the state dict; none where the file is one itself. */
  unwrapped: readonly string[];
  /** Tensors outside of it: an optimizer's, mostly. */
  leftOut: number;
}

/**
 * The tensors of a checkpoint by name. A dict without tensors of its own and with a model under one of the usual keys
 * stands for that model; dicts and lists in a state dict give their keys to the names, joined by dots.
 * @throws FormatError where there is no dict, no tensor, or names that do not tell tensors apart.
 */
export function findStateDict(root: PickleValue): StateDict {
  refuseForeign(root);
  if (!(root instanceof Map)) {
    throw new FormatError(
      "torch-no-state-dict",
      `the file holds ${isTensor(root) ? "a single tensor" : "something else"}, not a dict of tensors`,
      "save the model's state_dict() with torch.save",
    );
  }
  const unwrapped: string[] = [];
  let dict: PickleDict = root;
  for (let inner = wrapped(dict); inner !== undefined && unwrapped.length < MAX_WRAPPERS; inner = wrapped(dict)) {
    unwrapped.push(inner.key);
    dict = inner.dict;
  }
  const tensors = new Map<string, AnyTensor>();
  new Flattening(tensors).enter(dict, "", 0);
  if (tensors.size === 0) throw new FormatError("torch-no-tensors", "the file holds no tensors");
  return { tensors, unwrapped, leftOut: unwrapped.length === 0 ? 0 : countTensors(root, dict) };
}

function wrapped(dict: PickleDict): { key: string; dict: PickleDict } | undefined {
  for (const value of dict.values()) if (isTensor(value)) return undefined;
  for (const key of WRAPPERS) {
    const inner = dict.get(key);
    if (inner instanceof Map && countTensors(inner) > 0) return { key, dict: inner };
  }
  return undefined;
}

/** Gives names to the tensors in nested containers. A container that stands in several places has no one name. */
class Flattening {
  private readonly tensors: Map<string, AnyTensor>;
  private readonly entered = new Set<PickleValue>();
  private readonly withoutTensors = new Set<PickleValue>();

  constructor(tensors: Map<string, AnyTensor>) {
    this.tensors = tensors;
  }

  /** @param path undefined where a key on the way to the container is none that a name can have. */
  enter(container: PickleContainer, path: string | undefined, depth: number): void {
    if (this.withoutTensors.has(container)) return;
    if (this.entered.has(container) || depth > MAX_DEPTH) {
      throw new FormatError("torch-nesting", `what lies under "${path}" stands in the file twice, or too deep`);
    }
    this.entered.add(container);
    const before = this.tensors.size;
    for (const [key, value] of itemsOf(container)) {
      refuseForeign(key);
      refuseForeign(value);
      if (isTensor(value)) this.add(nameUnder(path, key), value);
      else if (isContainer(value)) this.enter(value, nameUnder(path, key), depth + 1);
    }
    if (this.tensors.size === before) this.withoutTensors.add(container);
  }

  private add(name: string | undefined, tensor: AnyTensor): void {
    if (name === undefined) {
      throw new FormatError(
        "torch-name",
        `a tensor's name is no text of at most ${MAX_NAME_LENGTH} printable characters`,
      );
    }
    if (this.tensors.has(name)) throw new FormatError("torch-name", `two tensors have the same name: "${name}"`);
    this.tensors.set(name, tensor);
  }
}

/** What could be, or hold, weights must not be passed over in a state dict. */
function refuseForeign(value: PickleValue): void {
  const opaque = value instanceof PickleGlobal ? value.opaque : value;
  const name = opaque instanceof OpaqueValue ? opaque.foreign : undefined;
  if (name !== undefined) throw foreignName(name);
}

/** All tensors in `root`, but not in `except`: each container once, however often it stands there. */
function countTensors(root: PickleContainer, except?: PickleContainer): number {
  const seen = new Set<PickleValue>(except === undefined ? [] : [except]);
  const open: PickleContainer[] = [root];
  let count = 0;
  for (let container = open.pop(); container !== undefined; container = open.pop()) {
    if (seen.has(container)) continue;
    seen.add(container);
    for (const [, value] of itemsOf(container)) {
      if (isTensor(value)) count++;
      else if (isContainer(value)) open.push(value);
    }
  }
  return count;
}

function nameUnder(path: string | undefined, key: PickleValue): string | undefined {
  if (path === undefined || (typeof key !== "string" && typeof key !== "number")) return undefined;
  const name = path === "" ? String(key) : `${path}.${key}`;
  return name.length <= MAX_NAME_LENGTH && isPrintable(name) ? name : undefined;
}

function itemsOf(container: PickleContainer): Iterable<[PickleValue, PickleValue]> {
  if (container instanceof Map) return container;
  return (container instanceof PickleList ? container.items : container).entries();
}

function isContainer(value: PickleValue): value is PickleContainer {
  return value instanceof Map || value instanceof PickleList || isTuple(value);
}

function isTensor(value: PickleValue): value is AnyTensor {
  return value instanceof TorchTensor || value instanceof UnusableTensor;
}
