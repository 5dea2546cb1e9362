import { join } from "node:path";
import type { ConfigEdits } from "./config-edits.ts";
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
  /** What an adapter changes in the elements as they are read, in the order of their rows; undefined: nothing. */
  patches?: readonly TensorPatch[] | undefined;
  /**
   * Elements from one to the next along each dimension: only views in PyTorch's files have them (transposed, cut out of
   * a wider tensor, repeated). Undefined: row-major, without gaps.
   */
  strides?: readonly number[] | undefined;
}

/**
 * Rows of a tensor that an adapter changes. The tensor counts as a matrix of rows of `columns` elements; rows
 * [from, to) become `W + scale * left right`, or `right` itself where it replaces them; then, with a magnitude, each row
 * or column gets that length (native/engine/patch.h has the formula).
 */
export interface TensorPatch {
  columns: number;
  from: number;
  to: number;
  rank: number;
  scale: number;
  replaces: boolean;
  /** [to - from, rank]; undefined: ones, and a rank of 1. */
  left: TensorFactor | undefined;
  /** [rank, columns]. */
  right: TensorFactor;
  magnitude?: { factor: TensorFactor; along: "rows" | "columns" } | undefined;
}

/** A matrix in an adapter's file: `offset` is that of its first element, in bytes; strides count elements. */
export interface TensorFactor {
  /** The stored tensor's name: for messages. */
  tensor: string;
  file: string;
  offset: number;
  dtype: Dtype;
  rowStride: number;
  columnStride: number;
}

export interface InputFile {
  path: string;
  /** In bytes. */
  size: number;
  /** A file that the command itself made for this run: it is known by its content, because each run makes it anew. */
  made?: boolean | undefined;
}

/** A model folder, understood from its config.json and the headers of its weight files. No tensor byte was read. */
export interface Model {
  ref: ModelRef;
  /** As the user wrote it: for messages and the model card. */
  name: string;
  /** The folder that holds config.json; for a hub id, the snapshot in the cache. */
  dir: string;
  /** config.json as it stands, keys in their order; with an adapter that changes what it says, as it should stand. */
  config: Readonly<Record<string, unknown>>;
  /** What `config` says that the file does not. */
  configEdits?: ConfigEdits | undefined;
  /** `architectures[0]`, or the override. Undefined where config.json names none. */
  architecture: string | undefined;
  /** By name, in the order of the files and of the offsets in them. */
  tensors: ReadonlyMap<string, TensorView>;
  /** Weight files with their size in bytes. */
  weightFiles: readonly InputFile[];
  /** Names of all other files in `dir`. */
  sideFiles: readonly string[];
  /** Where side files lie that are not all in `dir`: an adapter may bring the tokenizer. */
  sideFilePaths?: ReadonlyMap<string, string> | undefined;
  /** Where an adapter was applied in a cache beforehand: the dtype that the copy was asked for in, or `model`, its own. */
  cachedAs?: string | undefined;
  /** Where the model is the output of an earlier merge of the same run: its plan's hash, and what it was made from. */
  made?: { plan: string; from: readonly ModelRef[] } | undefined;
}

/** Where a model's side file lies. */
export function sideFilePath({ dir, sideFilePaths }: Pick<Model, "dir" | "sideFilePaths">, name: string): string {
  return sideFilePaths?.get(name) ?? join(dir, name);
}

/** What native code is told of a view whose elements do not lie one after another. */
export function layoutOf({
  shape,
  strides,
}: TensorView): { sizes: readonly number[]; strides: readonly number[] } | undefined {
  return strides === undefined ? undefined : { sizes: shape, strides };
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The number of elements of a shape; 1 for a 0-d tensor. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  // By index: called for every tensor of every model, and several times as fast as an iterator.
  for (let i = 0; i < shape.length; i++) count *= shape[i] as number;
  return count;
}
