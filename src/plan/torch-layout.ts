import { crc32 } from "../hash.ts";
import { DTYPE_BYTES, type Dtype } from "../model/dtype.ts";
import { elementCount } from "../model/types.ts";
import { PickleWriter } from "./pickle.ts";
import { type FileLayout, nameInFile, type PlacelessOp, tensorBytes } from "./place.ts";
import type { MergePlan } from "./types.ts";
import { directory, directorySize, localHeader, placeEntries, type ZipEntry } from "./zip.ts";

/** `torch.save` starts every storage at a multiple of this many bytes, so that it can be mapped. */
const ALIGNMENT = 64;
/** The folder that everything in the archive lies in; PyTorch takes any name. */
const FOLDER = "archive";

/** Bytes of a file from `offset` on. */
export interface Piece {
  offset: number;
  bytes: Uint8Array;
}

/** A typed storage class, or for the dtypes that have none the dtype's own name. */
const STORAGES: Record<Dtype, { storage: string } | { dtype: string }> = {
  F64: { storage: "DoubleStorage" },
  F32: { storage: "FloatStorage" },
  F16: { storage: "HalfStorage" },
  BF16: { storage: "BFloat16Storage" },
  I64: { storage: "LongStorage" },
  I32: { storage: "IntStorage" },
  I16: { storage: "ShortStorage" },
  I8: { storage: "CharStorage" },
  U8: { storage: "ByteStorage" },
  BOOL: { storage: "BoolStorage" },
  U64: { dtype: "uint64" },
  U32: { dtype: "uint32" },
  U16: { dtype: "uint16" },
};

/** Where the tensors of one `pytorch_model.bin` lie, in the order given. */
export function torchLayout(tensors: readonly PlacelessOp[]): FileLayout {
  const { small, entries, end } = archive(tensors);
  return {
    offsets: entries.slice(small.length).map((entry) => entry.dataOffset),
    size: end + directorySize(entries, end),
  };
}

/**
 * Everything in a `pytorch_model.bin` that is not tensor data: the pickle, the small entries, the headers and the
 * directory of the archive, in the order of their offsets. Offsets and sizes do not depend on the checksums.
 * @param shardIndex an index into `plan.shards`.
 * @param crcs the CRC-32 of each tensor's bytes, in the order of the shard's `ops`.
 */
export function torchShardBytes(plan: MergePlan, shardIndex: number, crcs: readonly number[]): Piece[] {
  const indices = plan.shards[shardIndex]?.ops ?? [];
  const { small, entries, end } = archive(indices.map((index) => plan.ops[index] as PlacelessOp));
  const checksums = [...small.map(({ bytes }) => crc32(bytes)), ...crcs];
  const pieces = entries.flatMap((entry, i): Piece[] => {
    const header = { offset: entry.headerOffset, bytes: localHeader(entry, checksums[i] ?? 0) };
    const content = small[i];
    return content === undefined ? [header] : [header, { offset: entry.dataOffset, bytes: content.bytes }];
  });
  return [...pieces, { offset: end, bytes: directory(entries, checksums, end) }];
}

/** The small entries with their bytes, and the places of all entries: the small ones, then one for each tensor. */
function archive(tensors: readonly PlacelessOp[]): {
  small: { name: string; bytes: Uint8Array }[];
  entries: ZipEntry[];
  end: number;
} {
  const text = (value: string) => new TextEncoder().encode(value);
  const small = [
    { name: `${FOLDER}/data.pkl`, bytes: stateDict(tensors) },
    { name: `${FOLDER}/byteorder`, bytes: text("little") },
    { name: `${FOLDER}/version`, bytes: text("3\n") },
  ];
  const files = [
    ...small.map(({ name, bytes }) => ({ name, size: bytes.length })),
    ...tensors.map((tensor, key) => ({ name: `${FOLDER}/data/${key}`, size: tensorBytes(tensor) })),
  ];
  return { small, ...placeEntries(files, ALIGNMENT) };
}

/** The pickle of a dict from names to tensors; storages are named by their position. */
function stateDict(tensors: readonly PlacelessOp[]): Uint8Array {
  const pickle = new PickleWriter();
  pickle.start();
  pickle.emptyDict();
  pickle.mark();
  tensors.forEach((tensor, key) => {
    pickle.text(nameInFile(tensor));
    writeTensor(pickle, tensor, key);
  });
  pickle.setItems();
  return pickle.stop();
}

/** `torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`, or `_v3` with the dtype. */
function writeTensor(pickle: PickleWriter, tensor: PlacelessOp, key: number): void {
  const storage = STORAGES[tensor.dtype];
  const typed = "storage" in storage;
  pickle.global("torch._utils", typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
  pickle.mark();
  writeStorage(pickle, tensor, key);
  pickle.integer(0);
  writeSizes(pickle, tensor.shape);
  writeSizes(pickle, strides(tensor.shape));
  pickle.false();
  pickle.global("collections", "OrderedDict");
  pickle.emptyTuple();
  pickle.reduce();
  if (!typed) pickle.global("torch", storage.dtype);
  pickle.tuple();
  pickle.reduce();
}

/** A typed storage counts elements, an untyped one bytes. */
function writeStorage(pickle: PickleWriter, tensor: PlacelessOp, key: number): void {
  const storage = STORAGES[tensor.dtype];
  pickle.mark();
  pickle.text("storage");
  if ("storage" in storage) pickle.global("torch", storage.storage);
  else pickle.global("torch.storage", "UntypedStorage");
  pickle.text(String(key));
  pickle.text("cpu");
  pickle.integer(elementCount(tensor.shape) * ("storage" in storage ? 1 : DTYPE_BYTES[tensor.dtype]));
  pickle.tuple();
  pickle.persistentId();
}

function writeSizes(pickle: PickleWriter, sizes: readonly number[]): void {
  pickle.mark();
  for (const size of sizes) pickle.integer(size);
  pickle.tuple();
}

/** Row-major, in elements; a dimension of size 0 counts as 1, as PyTorch has it. */
function strides(shape: readonly number[]): number[] {
  const result: number[] = new Array(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    result[i] = stride;
    stride *= Math.max(shape[i] as number, 1);
  }
  return result;
}
