import type { Packing, Resolution, WeightSpec } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import { type FloatDtype, isFloat } from "../model/dtype.ts";
import type { PlanModel } from "../plan/models.ts";
import type { PlacelessOp } from "../plan/place.ts";
import type { OpInput } from "../plan/types.ts";
import type { Expert } from "./types.ts";

/** Most inputs of one op: `kMaxInputs` in native/engine/job.h. */
const MOST_PIECES = 64;

/** A weight of an expert, and where it lies in a larger tensor. */
export interface ExpertWeight {
  spec: WeightSpec;
  expert: Expert;
  from: PlanModel;
  found: Resolution;
  residual: boolean;
}

/** A tensor as a model has it, in the output's dtype. */
export function copyOp(tensor: string, from: PlanModel, { view, name }: Resolution, dtype: FloatDtype): PlacelessOp {
  const input: OpInput = { view, model: from.model.name, tensor: name, position: 0 };
  const written = isFloat(view.dtype) ? dtype : view.dtype;
  const inputs = [input];
  if (written === view.dtype && view.patches === undefined)
    return { tensor, dtype: written, shape: view.shape, kernel: "copy", inputs, params: [] };
  return { tensor, dtype: written, shape: view.shape, kernel: "linear", inputs, params: [1] };
}

/** A tensor of zeros. */
export function zeroOp(tensor: string, shape: readonly number[], dtype: FloatDtype): PlacelessOp {
  return { tensor, dtype, shape, kernel: "constant", inputs: [], params: [0] };
}

/**
 * Experts' weights, each as a tensor of its own. Noise is drawn as in the larger tensor that would hold the weight, so
 * that both layouts hold the same numbers.
 */
export function separateOps(weights: readonly ExpertWeight[], dtype: FloatDtype): PlacelessOp[] {
  return [...grouped(weights).values()].flatMap((group) =>
    group.map((weight, i) => {
      const { spec, found, from } = weight;
      const { factor, noise } = scales(weight);
      if (noise !== 0) return { ...assembled(spec.name, [weight], dtype, i), randomAs: wholeName(spec) };
      const copied = copyOp(spec.name, from, found, spec.dtype ?? dtype);
      return factor === 1 ? copied : { ...copied, kernel: "linear", params: [factor] };
    }),
  );
}

/** Experts' weights in the larger tensors that hold them, entry by entry and part by part. */
export function packedOps(weights: readonly ExpertWeight[], dtype: FloatDtype, report: Report): PlacelessOp[] {
  const ops: PlacelessOp[] = [];
  for (const [name, group] of grouped(weights)) {
    const first = group[0] as ExpertWeight;
    const packing = first.spec.packing;
    if (packing === undefined) ops.push(...separateOps(group, dtype));
    else if (group.length > MOST_PIECES) reportPieces(name, group.length, report);
    else ops.push({ ...assembled(name, group, dtype, 0), shape: wholeShape(packing, first.found.view.shape) });
  }
  return ops;
}

function reportPieces(tensor: string, count: number, report: Report): void {
  if (report.errors.some(({ code }) => code === "too-many-pieces")) return;
  report.error({
    code: "too-many-pieces",
    message: `${count} weights would have to be packed into one tensor, and at most ${MOST_PIECES} can be`,
    tensor,
    hint: "--expert-layout separate writes each as a tensor of its own",
  });
}

/** Weights by the larger tensor that holds them, in the order of their places in it. */
function grouped(weights: readonly ExpertWeight[]): Map<string, ExpertWeight[]> {
  const groups = new Map<string, ExpertWeight[]>();
  for (const weight of weights) {
    const name = wholeName(weight.spec) ?? weight.spec.name;
    groups.set(name, [...(groups.get(name) ?? []), weight]);
  }
  for (const group of groups.values()) group.sort((a, b) => placeIn(a.spec.packing) - placeIn(b.spec.packing));
  return groups;
}

function wholeName({ packing }: WeightSpec): string | undefined {
  return packing?.names[0];
}

function placeIn(packing: Packing | undefined): number {
  const { entry, rows } = packing ?? {};
  return (entry?.index ?? 0) + (rows === undefined ? 0 : rows.from / rows.of);
}

/** The shape of the tensor that holds parts of this shape. */
function wholeShape({ entry, rows }: Packing, part: readonly number[]): number[] {
  const [first = 1, ...rest] = part;
  const own = rows === undefined ? first : (first * rows.of) / (rows.to - rows.from);
  return entry === undefined ? [own, ...rest] : [entry.count, own, ...rest];
}

/** @param position of the first of the weights within the tensor that holds them all. */
function assembled(tensor: string, weights: readonly ExpertWeight[], dtype: FloatDtype, position: number): PlacelessOp {
  const inputs = weights.map(
    ({ found, from }, i): OpInput => ({
      view: found.view,
      model: from.model.name,
      tensor: found.name,
      position: position + i,
    }),
  );
  const params = weights.flatMap((weight) => {
    const { factor, noise } = scales(weight);
    return [factor, noise];
  });
  const shape = inputs[0]?.view.shape ?? [];
  return { tensor, dtype: weights[0]?.spec.dtype ?? dtype, shape, kernel: "assemble", inputs, params };
}

/** What becomes of the weight's elements: noise of this standard deviation is added, then this factor applied. */
function scales({ expert, residual }: ExpertWeight): { factor: number; noise: number } {
  return { factor: residual ? expert.residual : 1, noise: expert.noise };
}
