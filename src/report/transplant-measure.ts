import { join } from "node:path";
import { elementCount, type TensorView } from "../model/types.ts";
import type { Addon } from "../native.ts";
import type { MergePlan, OpInput } from "../plan/types.ts";
import { type Measurement, measureAll } from "../run/measure.ts";
import type { RunEvents } from "../run/types.ts";
import type { MatrixPlan } from "../transplant/matrices.ts";

/** Rows of one matrix that were made in one way. */
export interface RowsMade {
  rows: number;
  /** Root of the mean square of their Euclidean norms. */
  norm: number;
  nonFinite: number;
}

/** One weight with a row for each token, in the output. */
export interface MatrixMeasure {
  tensor: string;
  copied: RowsMade & {
    /** Norm of their difference from the model's own rows, as a share of those; 0 where they are the same. */
    change: number;
  };
  approximated: RowsMade;
  /** Norm of the donor's rows of the tokens that were approximated; NaN where none of its rows were read. */
  donorNorm: number;
}

/** @throws SinterError for the first failure, or the signal's reason. */
export async function measureMatrices(
  plan: MergePlan,
  folder: string,
  matrices: readonly MatrixPlan[],
  addon: Addon,
  signal: AbortSignal | undefined,
  events: RunEvents,
): Promise<MatrixMeasure[]> {
  const items = matrices.flatMap((matrix) => itemsOf(matrix, outputView(plan, folder, matrix.tensor)));
  const used = items.filter(({ rows }) => rows > 0);
  const sums = await measureAll(
    used,
    ({ count, rows }, inputs) => addon.compare({ ...inputs, count, rows }),
    addon,
    signal,
    events,
  );
  const found = new Map(
    used.map((item, i) => [`${item.tensor}\n${item.what}`, { rows: item.rows, sums: sums[i] as Float64Array }]),
  );
  return matrices.map(({ tensor }) => {
    const made = (what: Rows["what"]): RowsMade & { change: number } => {
      const one = found.get(`${tensor}\n${what}`);
      if (one === undefined) return { rows: 0, norm: Number.NaN, nonFinite: 0, change: Number.NaN };
      // Of `compare` with one input besides the base: d², d², count, two more, then the squares of both.
      const [distance = 0, , , , , base = 0, squares = 0, nonFinite = 0] = one.sums;
      return { rows: one.rows, norm: Math.sqrt(squares / one.rows), nonFinite, change: Math.sqrt(distance / base) };
    };
    const { change: _, ...approximated } = made("approximated");
    return { tensor, copied: made("copied"), approximated, donorNorm: made("donor").norm };
  });
}

interface Rows extends Measurement {
  what: "copied" | "approximated" | "donor";
  rows: number;
}

/** The output's copied rows beside the model's; approximated rows, and the donor's of the same tokens, beside themselves. */
function itemsOf({ tensor, original, donor, assignment, isVector }: MatrixPlan, output: TensorView): Rows[] {
  const { copied, targets } = assignment;
  const width = isVector ? 1 : elementCount(original.shape.slice(1));
  const input = (view: TensorView, model: string, rows: Uint32Array): OpInput => {
    const gather = { pieces: [{ view, model, tensor }], rows: Int32Array.from(rows), mixes: new Int32Array() };
    return { view, model, tensor, position: 0, gather };
  };
  const item = (what: Rows["what"], rows: number, ...inputs: [OpInput, OpInput]): Rows => {
    return { tensor, what, rows, count: rows * width, inputs };
  };
  const approximated = input(output, "the output", targets);
  const known = donor === undefined ? undefined : input(donor, "the donor", targets);
  return [
    item("copied", copied.to.length, input(original, "the model", copied.from), input(output, "the output", copied.to)),
    item("approximated", targets.length, approximated, approximated),
    ...(known === undefined || isVector ? [] : [item("donor", targets.length, known, known)]),
  ];
}

function outputView(plan: MergePlan, folder: string, tensor: string): TensorView {
  const op = plan.ops.find((one) => one.tensor === tensor);
  if (op === undefined) throw new Error(`the plan does not write ${tensor}`);
  return { file: join(folder, plan.shards[op.shard]?.file ?? ""), offset: op.offset, dtype: op.dtype, shape: op.shape };
}
