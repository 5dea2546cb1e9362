import { join } from "node:path";
import { DTYPE_BYTES } from "../model/dtype.ts";
import { elementCount, type TensorView } from "../model/types.ts";
import type { Addon } from "../native.ts";
import type { MergeOp, MergePlan, OpInput } from "../plan/types.ts";
import { type Measurement, measureAll } from "../run/measure.ts";
import type { RunEvents } from "../run/types.ts";
import { placeOf } from "./cells.ts";

/** How much the vectors of a router, or the weights of the experts, of one layer have in common. */
export interface LayerOfExperts {
  layer: number;
  /** By expert. */
  norms: readonly number[];
  /** By expert and expert. */
  cosines: readonly (readonly number[])[];
}

/** What the output's routers and experts are like. */
export interface MixtureMeasure {
  /** A vector for each expert. */
  routers: readonly LayerOfExperts[];
  /** By layer, then by expert: norm of the difference from the first expert's weights, as a share of their norm. */
  differences: readonly { layer: number; values: readonly number[] }[];
}

/** Besides the first of a comparison: native code has room for 64. */
const MOST_OTHERS = 62;

/** Where an expert's weights lie in the output. */
export interface ExpertWeight {
  layer: number;
  expert: number;
  /** The same for the same weight of every expert of the layer. */
  key: string;
  view: TensorView;
}

/** @throws SinterError for the first failure, or the signal's reason. */
export async function measureMixture(
  plan: MergePlan,
  folder: string,
  experts: number,
  addon: Addon,
  signal: AbortSignal | undefined,
  events: RunEvents,
): Promise<MixtureMeasure> {
  const measure = (items: readonly Compared[]) =>
    measureAll(items, ({ count }, inputs) => addon.compare({ ...inputs, count }), addon, signal, events);
  const routers = plan.ops.filter((op) => isRouter(op, experts));
  const rows = routers.flatMap((op) => rowComparisons(op, viewIn(plan, folder, op), experts));
  const weights = weightComparisons(expertWeights(plan, folder, experts));
  const rowSums = await measure(rows);
  const weightSums = await measure(weights);
  return {
    routers: routers.map((op) => routerOf(op, rows, rowSums, experts)),
    differences: differencesOf(weights, weightSums, experts),
  };
}

/** A tensor and others of as many elements, each with what it is. */
interface Compared extends Measurement {
  layer: number;
  first: number;
  others: readonly number[];
}

/** A matrix with a row for each expert that is made of no input: numbers of the plan, or random ones. */
export function isRouter({ kernel, inputs, shape, tensor }: MergeOp, experts: number): boolean {
  const isMade = inputs.length === 0 && kernel !== "constant";
  return isMade && shape.length === 2 && shape[0] === experts && placeOf(tensor) !== undefined;
}

/** Every row of a router with all later ones. */
function rowComparisons({ tensor, shape }: MergeOp, whole: TensorView, experts: number): Compared[] {
  const width = shape[1] ?? 0;
  const input = (row: number): OpInput => {
    const offset = whole.offset + row * width * DTYPE_BYTES[whole.dtype];
    return { view: { ...whole, offset, shape: [width] }, model: "the output", tensor, position: row };
  };
  return Array.from({ length: experts }, (_, first) => {
    // A single expert, and the last, are compared with themselves: that gives their norms.
    const later = Array.from({ length: experts - first - 1 }, (_, i) => first + 1 + i);
    return chunks(later.length === 0 ? [first] : later, MOST_OTHERS).map((others): Compared => {
      const layer = placeOf(tensor)?.layer ?? 0;
      return { tensor, layer, first, others, count: width, inputs: [input(first), ...others.map(input)] };
    });
  }).flat();
}

function routerOf(
  { tensor }: MergeOp,
  rows: readonly Compared[],
  sums: readonly Float64Array[],
  experts: number,
): LayerOfExperts {
  const squares = new Float64Array(experts);
  const distances = Array.from({ length: experts }, () => new Float64Array(experts));
  for (const [i, row] of rows.entries()) {
    if (row.tensor !== tensor) continue;
    const found = sums[i] as Float64Array;
    // Layout: src/native.ts, `compare`; v_1 is the first of the others.
    const n = row.inputs.length;
    squares[row.first] = found[3 * n - 1] ?? 0;
    for (const [j, other] of row.others.entries()) {
      squares[other] = found[3 * n + j] ?? 0;
      (distances[row.first] as Float64Array)[other] = found[3 * j] ?? 0;
    }
  }
  const cosine = (a: number, b: number) => {
    const [x, y] = [squares[a] as number, squares[b] as number];
    const distance = distances[Math.min(a, b)]?.[Math.max(a, b)] ?? 0;
    return Math.min(1, Math.max(-1, (x + y - distance) / (2 * Math.sqrt(x * y))));
  };
  const list = Array.from({ length: experts }, (_, i) => i);
  return {
    layer: placeOf(tensor)?.layer ?? 0,
    norms: list.map((expert) => Math.sqrt(squares[expert] as number)),
    cosines: list.map((a) => list.map((b) => cosine(a, b))),
  };
}

/** Weights of experts in the output, each in a tensor of its own or as a piece of one. */
export function expertWeights(plan: MergePlan, folder: string, experts: number): ExpertWeight[] {
  return plan.ops.flatMap((op): ExpertWeight[] => {
    const place = placeOf(op.tensor);
    if (place === undefined) return [];
    const { layer, module, expert } = place;
    const whole = viewIn(plan, folder, op);
    if (expert !== undefined) return [{ layer, expert, key: module, view: whole }];
    if (op.kernel !== "assemble" || op.inputs.length % experts !== 0) return [];
    const each = op.inputs.length / experts;
    return pieces(op, whole).map((view, i) => {
      return { layer, expert: Math.floor(i / each), key: `${module} ${i % each}`, view };
    });
  });
}

/** Where each input of an assembled tensor lies in it: one after the other. */
export function pieces({ inputs }: MergeOp, whole: TensorView): TensorView[] {
  let offset = whole.offset;
  return inputs.map(({ view }) => {
    const piece = { ...whole, offset, shape: view.shape };
    offset += elementCount(view.shape) * DTYPE_BYTES[whole.dtype];
    return piece;
  });
}

function weightComparisons(weights: readonly ExpertWeight[]): Compared[] {
  const groups = Map.groupBy(weights, ({ layer, key }) => `${layer} ${key}`);
  return [...groups.values()].flatMap((group) => {
    const first = group.find(({ expert }) => expert === 0);
    if (first === undefined) return [];
    const count = elementCount(first.view.shape);
    const others = group.filter((one) => one !== first && elementCount(one.view.shape) === count);
    const input = ({ view, key, expert }: ExpertWeight): OpInput => {
      return { view, model: "the output", tensor: key, position: expert };
    };
    return chunks(others, MOST_OTHERS).map(
      (some): Compared => ({
        tensor: first.key,
        layer: first.layer,
        first: 0,
        others: some.map(({ expert }) => expert),
        count,
        inputs: [first, ...some].map(input),
      }),
    );
  });
}

function differencesOf(
  items: readonly Compared[],
  sums: readonly Float64Array[],
  experts: number,
): MixtureMeasure["differences"] {
  const byLayer = Map.groupBy(
    items.map((item, i) => ({ item, found: sums[i] as Float64Array })),
    ({ item }) => item.layer,
  );
  return [...byLayer].map(([layer, members]) => {
    const values = Array.from({ length: experts }, (_, expert) => {
      let [distance, norm] = [0, 0];
      for (const { item, found } of members) {
        const j = item.others.indexOf(expert);
        if (j < 0) continue;
        distance += found[3 * j] ?? 0;
        norm += found[3 * item.inputs.length - 1] ?? 0;
      }
      return expert === 0 ? 0 : Math.sqrt(distance / norm);
    });
    return { layer, values };
  });
}

function viewIn(plan: MergePlan, folder: string, { shard, offset, dtype, shape }: MergeOp): TensorView {
  return { file: join(folder, plan.shards[shard]?.file ?? ""), offset, dtype, shape };
}

function chunks<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}
