import { DTYPE_BYTES } from "../model/dtype.ts";
import { visibleName } from "../visible.ts";
import { gatherCounts } from "./gather.ts";
import { gatherHash, planHash } from "./hash.ts";
import type { MergeOp, MergePlan, RowGather, VocabularySummary } from "./types.ts";

/**
 * What a plan does, in a page of text.
 * @param peakMemory most bytes of memory that running it takes, where known.
 * @param devices where it would be computed, a line each.
 */
export function planText(plan: MergePlan, peakMemory?: number, devices: readonly string[] = []): string {
  const { tensors, parameters, bytesRead, bytesWritten } = plan.totals;
  const rows: [string, string][] = [
    ["method", plan.method],
    ["models", plan.models.join(", ")],
    ["base", plan.baseModel ?? "none"],
    ["tensors", `${tensors} (${parameters.toLocaleString("en")} parameters, ${dtypes(plan)})`],
    ["kernels", countText(counted(plan.ops, ({ kernel }) => kernel))],
    ["read", `${byteText(bytesRead)} from ${count(plan.inputFiles.length, "file")}`],
    ["write", `${byteText(bytesWritten)} in ${count(plan.shards.length, "file")}`],
    ...plan.shards.map((shard): [string, string] => {
      return ["", `${shard.file}  ${byteText(shard.size)}, ${count(shard.ops.length, "tensor")}`];
    }),
    ["beside", plan.sideFiles.map(({ name }) => name).join(", ")],
    ...(plan.vocabulary === undefined ? [] : vocabularyRows(plan.vocabulary)),
    ...plan.tied.map(({ tensor, follows }): [string, string] => ["tied", `${tensor} follows ${follows}: not stored`]),
    ...(peakMemory === undefined ? [] : [["memory", `at most ${byteText(peakMemory)}`] as [string, string]]),
    ...devices.map((line, i): [string, string] => [i === 0 ? "device" : "", line]),
    ["seed", String(plan.seed)],
    ["hash", planHash(plan)],
  ];
  return rows.map(([label, value]) => `${label.padEnd(8)} ${visibleName(value)}\n`).join("");
}

/** Tensors in one piece of `planJson`. */
const PIECE_OPS = 256;

/**
 * The whole plan as one JSON value, with its hash; texts of side files included. In pieces of some hundred kilobytes, to
 * be printed one after the other: the JSON of 45,000 tensors as one text takes more memory than the plan.
 */
export function* planJson(plan: MergePlan, peakMemory?: number, devices?: readonly string[]): Generator<string> {
  const { ops, ...rest } = plan;
  const running = {
    ...(peakMemory === undefined ? {} : { peakMemory }),
    ...(devices === undefined ? {} : { devices }),
  };
  const head = JSON.stringify({ hash: planHash(plan), ...rest, ...running }, shortened, 2);
  yield `${head.slice(0, -"\n}".length)},\n  "ops": [`;
  for (let begin = 0; begin < ops.length; begin += PIECE_OPS) {
    // A list's own brackets go; what is left is one level too far out.
    const list = JSON.stringify(ops.slice(begin, begin + PIECE_OPS), shortened, 2);
    yield `${begin === 0 ? "" : ","}${list.slice(1, -"\n]".length).replaceAll("\n", "\n  ")}`;
  }
  yield `${ops.length === 0 ? "" : "\n  "}]\n}\n`;
}

/** An index list has a number for each row: in JSON it is its counts and its hash. */
function shortened(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("pieces" in value) || !("mixes" in value)) return value;
  const gather = value as RowGather;
  return { pieces: gather.pieces, ...gatherCounts(gather), sha256: gatherHash(gather) };
}

function vocabularyRows({ tokens, padding, own }: VocabularySummary): [string, string][] {
  const rows = padding > 0 ? `, and ${padding} rows of padding` : "";
  return [
    ["tokens", `${tokens}${rows}`],
    ...own.map(({ model, tokens: known }): [string, string] => ["", `${model}  has ${known} of them`]),
  ];
}

/** Powers of 1000, as disks and shard sizes count. */
function byteText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}

function count(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? "" : "s"}`;
}

function dtypes(plan: MergePlan): string {
  const counts = [...counted(plan.ops, ({ dtype }) => dtype)];
  return countText(counts.sort(([a], [b]) => DTYPE_BYTES[b] - DTYPE_BYTES[a]));
}

/** How often each value comes. */
function counted<T extends string>(ops: readonly MergeOp[], read: (op: MergeOp) => T): Map<T, number> {
  const counts = new Map<T, number>();
  for (const op of ops) counts.set(read(op), (counts.get(read(op)) ?? 0) + 1);
  return counts;
}

/** `F32 12, I64 1` */
function countText(counts: Iterable<readonly [string, number]>): string {
  return [...counts].map(([value, times]) => `${value} ${times}`).join(", ");
}
