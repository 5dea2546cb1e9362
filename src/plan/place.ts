import { DTYPE_BYTES, type Dtype } from "../model/dtype.ts";
import { elementCount } from "../model/types.ts";
import type { MergeOp } from "./types.ts";

/** An output tensor that has no place in a file yet. */
export type PlacelessOp = Omit<MergeOp, "shard" | "offset">;

/** What a format has to say about one file: the byte offset of each of its tensors, and the size of the whole file. */
export interface FileLayout {
  offsets: readonly number[];
  size: number;
}

/** What a tensor is called in its file: without its folder. */
export function nameInFile({ tensor, folder }: Pick<PlacelessOp, "tensor" | "folder">): string {
  return folder === undefined ? tensor : tensor.slice(folder.length + 1);
}

/** Bytes of a tensor's data. */
export function tensorBytes(tensor: { dtype: Dtype; shape: readonly number[] }): number {
  return elementCount(tensor.shape) * DTYPE_BYTES[tensor.dtype];
}
