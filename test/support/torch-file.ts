import { readFileSync } from "node:fs";
import { DTYPE_BYTES, type Dtype } from "../../src/model/dtype.ts";
import { readZip } from "../plan/read-zip.ts";
import type { StoredTensor } from "./safetensors.ts";
import { unpickle } from "./unpickle.ts";

interface Storage {
  dtype: Dtype;
  key: string;
  count: number;
}

interface Rebuilt {
  storage: Storage;
  offset: number;
  shape: readonly number[];
  stride: readonly number[];
}

const STORAGES: Record<string, Dtype> = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

/**
 * Reads a checkpoint as `torch.load(weights_only=True)` does: an archive with a pickled dictionary of tensors whose
 * storages are members of the archive. @throws where names, sizes, strides or checksums do not fit together.
 */
export function readTorchFile(path: string): Map<string, StoredTensor> {
  const members = new Map(readZip(readFileSync(path)).map(({ name, bytes }) => [name, bytes]));
  const pickle = [...members].find(([name]) => name.endsWith("/data.pkl"));
  if (pickle === undefined) throw new Error(`${path} holds no data.pkl`);
  const prefix = pickle[0].slice(0, -"data.pkl".length);
  const state = unpickle(pickle[1], { persistent: storageOf, call }) as Map<string, Rebuilt>;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, { storage, offset, shape, stride }] of state) {
    const data = members.get(`${prefix}data/${storage.key}`);
    const width = DTYPE_BYTES[storage.dtype];
    if (data?.length !== storage.count * width) throw new Error(`${path}: the storage of ${name} has a wrong size`);
    if (String(stride) !== String(rowMajor(shape))) throw new Error(`${path}: ${name} is not row-major`);
    const count = shape.reduce((product, size) => product * size, 1);
    tensors.set(name, { dtype: storage.dtype, shape, bytes: data.subarray(offset * width, (offset + count) * width) });
  }
  return tensors;
}

function storageOf(id: unknown): Storage {
  const [kind, type, key, place, count] = id as [string, string, string, string, number];
  const dtype = STORAGES[type.replace(/^torch\./, "")];
  if (kind !== "storage" || place !== "cpu" || dtype === undefined) throw new Error(`an unknown storage: ${id}`);
  return { dtype, key, count };
}

function call(callable: string, args: readonly unknown[]): unknown {
  if (callable === "collections.OrderedDict") return new Map();
  if (callable !== "torch._utils._rebuild_tensor_v2") throw new Error(`torch.load would refuse ${callable}`);
  const [storage, offset, shape, stride] = args as [Storage, number, number[], number[]];
  return { storage, offset, shape, stride } satisfies Rebuilt;
}

function rowMajor(shape: readonly number[]): number[] {
  const stride: number[] = [];
  let step = 1;
  for (const size of shape.toReversed()) {
    stride.unshift(step);
    step *= size;
  }
  return stride;
}
