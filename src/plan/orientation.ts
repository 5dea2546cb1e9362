import type { Report } from "../errors.ts";
import type { TensorView } from "../model/types.ts";
import type { PlanModel } from "./models.ts";
import type { Target, TargetInput } from "./targets.ts";

/**
 * Experts packed in one tensor of three dimensions stand in it as rows or as columns, whichever version of transformers
 * wrote it (Qwen3-VL-MoE: as published, and as version 5 saves it; its class loads both). Where a model has them the
 * other way round than the donor, they are read through a view with the last two dimensions swapped, with a warning.
 *
 * Shapes show it. Of a square matrix they do not: it goes with the model's others, which cannot all be square.
 */
export function settleOrientation(targets: readonly Target[], donor: PlanModel, report: Report): readonly Target[] {
  const packed = targets.filter(({ spec, inputs }) => spec.name.includes("experts") && inputs.some(isStack));
  const turned = turnedModels(packed, donor);
  if (turned.size === 0) return targets;
  for (const one of turned) {
    report.warn({
      code: "transposed-experts",
      message: `packed experts lie the other way round than in ${donor.model.name}: they are read transposed`,
      at: one.at,
      model: one.model.name,
    });
  }
  const concerned = new Set(packed);
  return targets.map((target) => (concerned.has(target) ? turn(target, turned) : target));
}

function isStack({ found }: TargetInput): boolean {
  return found?.view.shape.length === 3;
}

/** Models that have every packed weight whose shape tells the other way round than the donor. */
function turnedModels(packed: readonly Target[], donor: PlanModel): Set<PlanModel> {
  const turned = new Set<PlanModel>();
  const straight = new Set<PlanModel>();
  for (const { slice, inputs } of packed) {
    const own = inputs[slice.sources.findIndex(({ from }) => from === donor)]?.found?.view;
    if (own === undefined) continue;
    inputs.forEach((input, i) => {
      const from = slice.sources[i]?.from;
      if (from === undefined || input.found === undefined || !isStack(input)) return;
      const isSame = String(input.found.view.shape) === String(own.shape);
      const isTurned = String(transposed(input.found.view).shape) === String(own.shape);
      if (isSame !== isTurned) (isTurned ? turned : straight).add(from);
    });
  }
  return turned.difference(straight);
}

function turn(target: Target, turned: ReadonlySet<PlanModel>): Target {
  const inputs = target.inputs.map((input, i): TargetInput => {
    const from = target.slice.sources[i]?.from;
    if (input.found === undefined || from === undefined || !turned.has(from) || !isStack(input)) return input;
    return { ...input, found: { ...input.found, view: transposed(input.found.view) } };
  });
  return { ...target, inputs };
}

/** The view with its last two dimensions swapped. */
function transposed(view: TensorView): TensorView {
  const [entries = 0, rows = 0, columns = 0] = view.shape;
  const [step, row, column] = view.strides ?? [rows * columns, columns, 1];
  return { ...view, shape: [entries, columns, rows], strides: [step ?? 0, column ?? 0, row ?? 0] };
}
