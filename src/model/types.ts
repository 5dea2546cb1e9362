import type { Dtype } from "./dtype.ts";
import type { ModelRef } from "./ref.ts";

/**
 * Where a tensor's bytes lie: the only way tensor bytes are spoken of in TypeScript.
 * `offset` counts from the start of `file`, in bytes; elements are little-endian.
 */
export interface TensorView {
  file: string;
  offset: number;
  dtype: Dtype;
  shape: readonly number[];
  /**
   * Elements from one to the next along each dimension: only views in PyTorch's files have them (transposed, cut out of
   * a wider tensor, repeated). Undefined: row-major, without gaps.
   */
  strides?: readonly number[] | undefined;
}

/** A model folder, understood from its config.json and the headers of its weight files. No tensor byte was read. */
export interface Model {
  ref: ModelRef;
  /** As the user wrote it: for messages and the model card. */
  name: string;
  /** The folder that holds config.json; for a hub id, the snapshot in the cache. */
  dir: string;
  /** config.json as it stands, keys in their order. */
  config: Readonly<Record<string, unknown>>;
  /** `architectures[0]`, or the override. Undefined where config.json names none. */
  architecture: string | undefined;
  /** By name, in the order of the files and of the offsets in them. */
  tensors: ReadonlyMap<string, TensorView>;
  /** Weight files with their size in bytes. */
  weightFiles: readonly { path: string; size: number }[];
  /** Names of all other files in `dir`. */
  sideFiles: readonly string[];
  /** Where the model is the output of an earlier merge of the same run: its plan's hash, and what it was made from. */
  made?: { plan: string; from: readonly ModelRef[] } | undefined;
}

/** What native code is told of a view whose elements do not lie one after another. */
export function layoutOf({
  shape,
  strides,
}: TensorView): { sizes: readonly number[]; strides: readonly number[] } | undefined {
  return strides === undefined ? undefined : { sizes: shape, strides };
}

/** The number of elements of a shape; 1 for a 0-d tensor. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  // By index: called for every tensor of every model, and several times as fast as an iterator.
  for (let i = 0; i < shape.length; i++) count *= shape[i] as number;
  return count;
}
