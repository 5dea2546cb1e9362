import { isDeepStrictEqual } from "node:util";
import { resolveWeight } from "../architecture/resolve.ts";
import type { Resolution } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import { isFloat } from "../model/dtype.ts";
import { patchesOfPart, splitsByRow } from "../model/patch.ts";
import { stridedRows } from "../model/strided-rows.ts";
import { elementCount } from "../model/types.ts";
import type { PlanModel } from "./models.ts";
import type { OutputTokenizer } from "./output-tokenizer.ts";
import type { Fallback, MemberRow, RowSources } from "./row-sources.ts";
import type { Target, TargetInput } from "./targets.ts";
import type { RowGather } from "./types.ts";

/** Codes of `RowGather.rows`. */
const ZEROS = -1;
const MEAN = -2;
const FIRST_MIX = -3;

/**
 * Embeddings and heads whose inputs bring their rows in the output's order. Where an input has them in that order it
 * stays as it is, or loses its last rows.
 */
export function gatherTargets(
  targets: readonly Target[],
  output: OutputTokenizer,
  sources: RowSources,
  report: Report,
): Target[] {
  const donors = donorMembers(sources);
  const lists = new Map<string, Pick<RowGather, "rows" | "mixes">>();
  return targets.map((target) => {
    if (target.spec.role === undefined) return target;
    const views = output.members.map(({ from }) => matrixOf(from, target));
    const inputs = target.inputs.map((input, i): TargetInput => {
      const member = output.members.findIndex(({ from }) => from === target.slice.sources[i]?.from);
      return gatherInput(input, member, target, { output, sources, donors, views, lists, report });
    });
    return { ...target, inputs };
  });
}

/** How many rows come from where: those of the first piece are the input's own. */
export function gatherCounts({ pieces, rows }: RowGather): {
  own: number;
  others: number;
  zeros: number;
  means: number;
} {
  const ownRows = pieces[0]?.view.shape[0] ?? 0;
  const counts = { own: 0, others: 0, zeros: 0, means: 0 };
  for (const code of rows) {
    if (code >= 0) counts[code < ownRows ? "own" : "others"]++;
    else counts[code === ZEROS ? "zeros" : "means"]++;
  }
  return counts;
}

interface Gathering {
  output: OutputTokenizer;
  sources: RowSources;
  donors: readonly number[];
  /** By member: its matrix for this weight. */
  views: readonly (Resolution | undefined)[];
  /** Lists that were made before, by member and numbers of rows: embedding and head commonly have the same. */
  lists: Map<string, Pick<RowGather, "rows" | "mixes">>;
  report: Report;
}

function gatherInput(input: TargetInput, member: number, target: Target, gathering: Gathering): TargetInput {
  const { found } = input;
  const { output, sources, donors, views, lists, report } = gathering;
  if (found === undefined || found.view.shape.length === 0 || member < 0 || !isFloat(found.view.dtype)) return input;
  const order = [member, ...donors.filter((one) => one !== member)];
  const lacking = order.find((one) => one !== member && !fits(views[one], found));
  if (lacking !== undefined) {
    report.error({
      code: "shape-mismatch",
      message:
        "tokens that another model lacks take their rows from here, and the model has no such matrix of this width",
      at: output.members[lacking]?.from.at,
      model: output.members[lacking]?.from.model.name,
      tensor: target.spec.name,
    });
    return input;
  }
  const matrices = order.map((one) => (one === member ? found : (views[one] as Resolution)));
  const key = [member, ...matrices.map(({ view }) => view.shape[0])].join(" ");
  const list = lists.get(key) ?? listOf(member, order, matrices, sources);
  lists.set(key, list);
  const isCut = isPrefix(list.rows) && list.rows.length <= (found.view.shape[0] as number);
  if (isCut && splitsByRow(found.view.patches)) {
    const shape = [list.rows.length, ...found.view.shape.slice(1)];
    const view = { ...found.view, shape, patches: patchesOfPart(found.view.patches, 0, elementCount(shape)) };
    return { ...input, found: { ...found, view } };
  }
  const pieces = matrices.map(({ view, name }, i) => ({
    view,
    tensor: name,
    model: output.members[order[i] as number]?.from.model.name ?? "",
  }));
  const unread = pieces.flatMap((piece) => stridedRows(piece, "a merge by token") ?? []);
  for (const problem of unread) report.error({ ...problem, at: output.members[member]?.from.at });
  if (unread.length > 0) return input;
  return { ...input, gather: { pieces, ...list } };
}

/** Members that give rows to others. */
function donorMembers({ fallbacks }: RowSources): number[] {
  const donors = new Set<number>();
  for (const fallback of fallbacks) for (const { member } of rowsOf(fallback)) donors.add(member);
  return [...donors].toSorted((a, b) => a - b);
}

function rowsOf(fallback: Fallback | undefined): readonly MemberRow[] {
  if (fallback === undefined || typeof fallback === "string") return [];
  return "member" in fallback ? [fallback] : fallback;
}

/** What a model of the recipe has for a weight, whether or not it is among the sources of the weight's slice. */
function matrixOf(from: PlanModel, target: Target): Resolution | undefined {
  const position = target.slice.sources.findIndex((source) => source.from === from);
  if (position >= 0) return target.inputs[position]?.found;
  for (const { before, after } of from.architecture.modules) {
    const spec = [...before, ...after].find(({ key, role }) => key === target.spec.key && role === target.spec.role);
    if (spec !== undefined) return resolveWeight(spec, from.model, from.architecture);
  }
  return undefined;
}

function fits(matrix: Resolution | undefined, own: Resolution): boolean {
  return matrix !== undefined && isDeepStrictEqual(matrix.view.shape.slice(1), own.view.shape.slice(1));
}

/** Rows as numbers through all matrices, which stand in `order`. */
function listOf(
  member: number,
  order: readonly number[],
  matrices: readonly Resolution[],
  { rows: count, own, fallbacks }: RowSources,
): Pick<RowGather, "rows" | "mixes"> {
  const starts = new Map<number, number>();
  let start = 0;
  order.forEach((one, i) => {
    starts.set(one, start);
    start += matrices[i]?.view.shape[0] ?? 0;
  });
  const numberOf = (row: MemberRow) => (starts.get(row.member) ?? 0) + row.row;
  const rows = new Int32Array(own[member] as Int32Array);
  const mixes: number[] = [];
  for (let i = 0; i < count; i++) {
    if ((rows[i] as number) >= 0) continue;
    const fallback = fallbacks[i] ?? "mean";
    if (fallback === "zeros") rows[i] = ZEROS;
    else if (fallback === "mean") rows[i] = MEAN;
    else if ("member" in fallback) rows[i] = numberOf(fallback);
    else {
      rows[i] = FIRST_MIX - mixes.length;
      mixes.push(fallback.length, ...fallback.map(numberOf));
    }
  }
  return { rows, mixes: Int32Array.from(mixes) };
}

function isPrefix(rows: Int32Array): boolean {
  for (let i = 0; i < rows.length; i++) if (rows[i] !== i) return false;
  return true;
}
