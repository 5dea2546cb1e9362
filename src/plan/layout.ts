import { DTYPE_BYTES } from "../model/dtype.ts";
import { nameInFile, type PlacelessOp, tensorBytes } from "./place.ts";
import { safetensorsLayout } from "./safetensors-layout.ts";
import { torchLayout } from "./torch-layout.ts";
import type { MergeOp, ShardPlan } from "./types.ts";

/** Every output file: which op lies where. */
export interface Layout {
  ops: readonly MergeOp[];
  shards: readonly ShardPlan[];
  index: IndexFile | undefined;
  /** Those of folders within the output. */
  folderIndexes: readonly IndexFile[];
}

interface IndexFile {
  name: string;
  text: string;
}

/** Bytes of an element, widest first. */
const WIDTHS = [8, 4, 2, 1];

/**
 * Gives every op its file and its byte offset.
 *
 * Tensors fill a file in the order of the ops until one more would exceed `shardSize` bytes of data; a larger tensor
 * goes alone; 0 or less means one file. Within a file wider dtypes come first, so that each tensor starts at a
 * multiple of its element size without gaps. Each folder within the output has files, and an index, of its own.
 */
export function layOut(ops: readonly PlacelessOp[], shardSize: number, format: ShardPlan["format"]): Layout {
  const placed: MergeOp[] = new Array(ops.length);
  const shards: ShardPlan[] = [];
  const indexes = new Map<string | undefined, IndexFile>();
  for (const [folder, members] of byFolder(ops)) {
    const index = layOutFolder(folder, members, ops, { shardSize, format, placed, shards });
    if (index !== undefined) indexes.set(folder, index);
  }
  const folderIndexes = [...indexes].flatMap(([folder, index]) => (folder === undefined ? [] : [index]));
  return { ops: placed, shards, index: indexes.get(undefined), folderIndexes };
}

/** Positions of the ops by their folder; the output folder itself comes first, also where it holds no tensor. */
function byFolder(ops: readonly PlacelessOp[]): Map<string | undefined, number[]> {
  const folders = new Map<string | undefined, number[]>([[undefined, []]]);
  ops.forEach(({ folder }, index) => {
    const members = folders.get(folder);
    if (members === undefined) folders.set(folder, [index]);
    else members.push(index);
  });
  return folders;
}

function layOutFolder(
  folder: string | undefined,
  members: readonly number[],
  ops: readonly PlacelessOp[],
  {
    shardSize,
    format,
    placed,
    shards,
  }: {
    shardSize: number;
    format: ShardPlan["format"];
    placed: MergeOp[];
    shards: ShardPlan[];
  },
): IndexFile | undefined {
  const groups = split(members, ops, shardSize);
  const [stem, extension] = format === "safetensors" ? ["model", "safetensors"] : ["pytorch_model", "bin"];
  const inFolder = (name: string) => (folder === undefined ? name : `${folder}/${name}`);
  const own = groups.map((group, i): ShardPlan => {
    const shard = shards.length + i;
    const order = widestFirst(group, ops);
    const tensors = order.map((index) => ops[index] as PlacelessOp);
    const { offsets, size } = format === "safetensors" ? safetensorsLayout(tensors) : torchLayout(tensors);
    order.forEach((index, position) => {
      placed[index] = { ...(tensors[position] as PlacelessOp), shard, offset: offsets[position] as number };
    });
    return { file: inFolder(shardName(stem, extension, i, groups.length)), size, format, ops: order };
  });
  const files = new Map(groups.map((_, i) => [shards.length + i, shardName(stem, extension, i, groups.length)]));
  shards.push(...own);
  if (own.length === 1) return undefined;
  const tensors = members.map((index) => placed[index] as MergeOp);
  return { name: inFolder(`${stem}.${extension}.index.json`), text: indexText(tensors, files) };
}

function widestFirst(group: readonly number[], ops: readonly PlacelessOp[]): number[] {
  const byWidth = new Map(WIDTHS.map((width): [number, number[]] => [width, []]));
  for (const index of group) byWidth.get(DTYPE_BYTES[(ops[index] as PlacelessOp).dtype])?.push(index);
  return [...byWidth.values()].flat();
}

/** Indices of consecutive ops, one list per file; one empty file where there are no ops. */
function split(members: readonly number[], ops: readonly PlacelessOp[], shardSize: number): number[][] {
  const groups: number[][] = [[]];
  let group = groups[0] as number[];
  let size = 0;
  for (const index of members) {
    const bytes = tensorBytes(ops[index] as PlacelessOp);
    if (shardSize > 0 && group.length > 0 && size + bytes > shardSize) {
      group = [];
      groups.push(group);
      size = 0;
    }
    group.push(index);
    size += bytes;
  }
  return groups;
}

function shardName(stem: string, extension: string, shard: number, count: number): string {
  if (count === 1) return `${stem}.${extension}`;
  const five = (value: number) => String(value).padStart(5, "0");
  return `${stem}-${five(shard + 1)}-of-${five(count)}.${extension}`;
}

/**
 * The index as transformers reads it: bytes of all tensors, and the file of each, sorted by name.
 * @param files names by the numbers of the shards.
 */
function indexText(ops: readonly MergeOp[], files: ReadonlyMap<number, string>): string {
  let total = 0;
  for (const op of ops) total += tensorBytes(op);
  const places = ops.map((op): [string, string] => [nameInFile(op), files.get(op.shard) ?? ""]);
  places.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const content = { metadata: { total_size: total }, weight_map: Object.fromEntries(places) };
  return `${JSON.stringify(content, null, 2)}\n`;
}
