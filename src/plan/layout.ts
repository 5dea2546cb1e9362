import { DTYPE_BYTES } from "../model/dtype.ts";
import { type PlacelessOp, tensorBytes } from "./place.ts";
import { safetensorsLayout } from "./safetensors-layout.ts";
import { torchLayout } from "./torch-layout.ts";
import type { MergeOp, ShardPlan } from "./types.ts";

/** Every output file: which op lies where. */
export interface Layout {
  ops: readonly MergeOp[];
  shards: readonly ShardPlan[];
  index: { name: string; text: string } | undefined;
}

/** Bytes of an element, widest first. */
const WIDTHS = [8, 4, 2, 1];

/**
 * Gives every op its file and its byte offset.
 *
 * Tensors fill a file in the order of the ops until one more would exceed `shardSize` bytes of data; a larger tensor
 * goes alone; 0 or less means one file. Within a file wider dtypes come first, so that each tensor starts at a
 * multiple of its element size without gaps.
 */
export function layOut(ops: readonly PlacelessOp[], shardSize: number, format: ShardPlan["format"]): Layout {
  const groups = split(ops, shardSize);
  const [stem, extension] = format === "safetensors" ? ["model", "safetensors"] : ["pytorch_model", "bin"];
  const placed: MergeOp[] = new Array(ops.length);
  const shards = groups.map((group, shard): ShardPlan => {
    const order = WIDTHS.flatMap((bytes) => group.filter((index) => width(ops, index) === bytes));
    const tensors = order.map((index) => ops[index] as PlacelessOp);
    const { offsets, size } = format === "safetensors" ? safetensorsLayout(tensors) : torchLayout(tensors);
    order.forEach((index, i) => {
      placed[index] = { ...(tensors[i] as PlacelessOp), shard, offset: offsets[i] as number };
    });
    return { file: shardName(stem, extension, shard, groups.length), size, format, ops: order };
  });
  const index =
    shards.length === 1 ? undefined : { name: `${stem}.${extension}.index.json`, text: indexText(placed, shards) };
  return { ops: placed, shards, index };
}

function width(ops: readonly PlacelessOp[], index: number): number {
  return DTYPE_BYTES[(ops[index] as PlacelessOp).dtype];
}

/** Indices of consecutive ops, one list per file; one empty file where there are no ops. */
function split(ops: readonly PlacelessOp[], shardSize: number): number[][] {
  const groups: number[][] = [[]];
  let group = groups[0] as number[];
  let size = 0;
  ops.forEach((op, index) => {
    const bytes = tensorBytes(op);
    if (shardSize > 0 && group.length > 0 && size + bytes > shardSize) {
      group = [];
      groups.push(group);
      size = 0;
    }
    group.push(index);
    size += bytes;
  });
  return groups;
}

function shardName(stem: string, extension: string, shard: number, count: number): string {
  if (count === 1) return `${stem}.${extension}`;
  const five = (value: number) => String(value).padStart(5, "0");
  return `${stem}-${five(shard + 1)}-of-${five(count)}.${extension}`;
}

/** The index as transformers reads it: bytes of all tensors, and the file of each, sorted by name. */
function indexText(ops: readonly MergeOp[], shards: readonly ShardPlan[]): string {
  let total = 0;
  for (const op of ops) total += tensorBytes(op);
  const files = ops.map((op): [string, string] => [op.tensor, (shards[op.shard] as ShardPlan).file]);
  files.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const content = { metadata: { total_size: total }, weight_map: Object.fromEntries(files) };
  return `${JSON.stringify(content, null, 2)}\n`;
}
