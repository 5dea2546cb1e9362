import { join } from "node:path";
import { isFloat } from "../model/dtype.ts";
import { elementCount } from "../model/types.ts";
import type { Addon } from "../native.ts";
import type { MergeOp, MergePlan, OpInput } from "../plan/types.ts";
import { measureAll, measuredBytes } from "../run/measure.ts";
import type { RunEvents } from "../run/types.ts";
import { pieces } from "./mixture-measure.ts";

/** What a merge did to one tensor. Sums are over its elements. */
export interface MeasuredTensor {
  op: MergeOp;
  /** Which of the pieces that a tensor is put together from: then `op` is that piece. */
  piece?: { index: number; of: number } | undefined;
  elements: number;
  /** Sum of squares of the output, and its elements that are a NaN or an infinity. */
  squares: number;
  nonFinite: number;
  /** Sum of squares of the output's difference from the reference. */
  change: number;
  /** Elements that some input besides the reference changed, and those that two changed in opposite directions. */
  changed: number;
  conflicts: number;
  /** How many inputs there are besides the reference: conflicts take two. */
  others: number;
  inputs: readonly MeasuredInput[];
}

export interface MeasuredInput {
  model: string;
  /** Whether changes are measured from it: the base, else the first input. */
  isReference: boolean;
  squares: number;
  /** Sum of squares of the difference between output and input. */
  distance: number;
  /** Of the input's difference from the reference: sum of squares, and of products with the output's. */
  change: number;
  product: number;
}

export interface MergeMeasure {
  tensors: readonly MeasuredTensor[];
  notCompared: readonly { tensor: string; reason: string }[];
  bytesRead: number;
  seconds: number;
}

/** Besides the reference and the output. */
const MOST_OTHERS = 62;

/**
 * Reads what a plan wrote into `folder` beside what it was made of.
 * @throws SinterError for the first failure, or the signal's reason.
 */
export async function measureMerge(
  plan: MergePlan,
  folder: string,
  addon: Addon,
  signal: AbortSignal | undefined,
  events: RunEvents,
): Promise<MergeMeasure> {
  const start = performance.now();
  const notCompared: { tensor: string; reason: string }[] = [];
  const items = plan.ops.flatMap(partsOf).flatMap(({ op, piece }) => {
    const reason = whyNot(op);
    if (reason === undefined) return [{ ...itemOf(op, plan, folder), piece }];
    notCompared.push({ tensor: op.tensor, reason });
    return [];
  });
  const sums = await measureAll(
    items,
    ({ count, op }, inputs) => addon.compare({ ...inputs, count, rows: Math.max(1, op.shape[0] ?? 1) }),
    addon,
    signal,
    events,
  );
  return {
    tensors: items.map((item, i) => measured(item, sums[i] as Float64Array)),
    notCompared,
    bytesRead: items.reduce((bytes, item) => bytes + measuredBytes(item), 0),
    seconds: (performance.now() - start) / 1000,
  };
}

interface Item extends Pick<MeasuredTensor, "op" | "piece"> {
  tensor: string;
  count: number;
  /** The reference, the output, and all others. */
  inputs: readonly OpInput[];
}

/** Of a tensor that is put together from others, each piece beside what it was made of; any other tensor as it is. */
function partsOf(op: MergeOp): Pick<MeasuredTensor, "op" | "piece">[] {
  const { kernel, inputs, offset: start, dtype, shape: all } = op;
  if (kernel !== "assemble" || inputs.length < 2) return [{ op }];
  return pieces(op, { file: "", offset: start, dtype, shape: all }).map(({ offset, shape }, index) => {
    const own = { ...op, offset, shape, inputs: [inputs[index] as OpInput] };
    return { op: own, piece: { index, of: inputs.length } };
  });
}

/** Why an output tensor cannot be held against its inputs; undefined where it can. */
function whyNot(op: MergeOp): string | undefined {
  if (op.inputs.length === 0) return "made of no input";
  if (!isFloat(op.dtype) || op.inputs.some(({ view }) => !isFloat(view.dtype))) return "not floating point numbers";
  if (op.inputs.length - 1 > MOST_OTHERS) return "too many inputs";
  const count = elementCount(op.shape);
  const whole = op.inputs.every(({ view, gather }) => gather !== undefined || elementCount(view.shape) === count);
  return whole ? undefined : "put together from pieces";
}

function itemOf(op: MergeOp, plan: MergePlan, folder: string): Omit<Item, "piece"> {
  const reference = op.inputs.find(({ model }) => model === plan.baseModel) ?? (op.inputs[0] as OpInput);
  const { tensor, offset, dtype, shape } = op;
  const view = { file: join(folder, plan.shards[op.shard]?.file ?? ""), offset, dtype, shape };
  const output: OpInput = { view, model: "the output", tensor, position: 0 };
  const others = op.inputs.filter((input) => input !== reference);
  return { op, tensor, count: elementCount(shape), inputs: [reference, output, ...others] };
}

/** @param sums laid out as src/native.ts says of `compare`. */
function measured({ op, piece, count, inputs }: Item, sums: Float64Array): MeasuredTensor {
  const at = (index: number) => sums[index] ?? 0;
  const n = inputs.length;
  const change = at(0);
  const squares = (index: number) => at(3 * n - 1 + index);
  const others = inputs.slice(2).map(({ model }, i): MeasuredInput => {
    const [own, product] = [at(3 * (i + 1)), at(3 * (i + 1) + 1)];
    // |out - x|² from differences to the reference; rounding may carry it below zero.
    const distance = Math.max(0, change + own - 2 * product);
    return { model, isReference: false, squares: squares(i + 2), distance, change: own, product };
  });
  const model = inputs[0]?.model ?? "";
  const reference = { model, isReference: true, squares: squares(0), distance: change, change: 0, product: 0 };
  return {
    op,
    ...(piece === undefined ? {} : { piece }),
    elements: count,
    squares: squares(1),
    nonFinite: at(4 * n - 1),
    change,
    changed: at(3 * n - 3),
    conflicts: at(3 * n - 2),
    others: n - 2,
    inputs: [reference, ...others],
  };
}
