import { isConstant } from "../architecture/constants.ts";
import { type Problem, SinterError } from "../errors.ts";
import type { NativeResult } from "../native.ts";
import type { MergeOp, MergePlan } from "../plan/types.ts";

/** Tensors that a warning names; the others are counted. */
const NAMED = 5;

/** Bounds of clipping are infinite where nothing is clipped: no damage, and copied as they are. */
function mayBeInfinite({ kernel, tensor }: MergeOp): boolean {
  return kernel === "copy" && isConstant(tensor);
}

/** @throws SinterError that names the inputs of the op that hold a NaN or an infinity, if there are any. */
export function refuseNonFinite(op: MergeOp, result: NativeResult): void {
  const bad = op.inputs.filter((_, i) => result.nonFinite[i]);
  if (bad.length === 0 || mayBeInfinite(op)) return;
  throw new SinterError(
    bad.map((input) => ({
      code: "non-finite",
      message: "the input tensor holds NaN or infinity",
      model: input.model,
      tensor: input.tensor,
      path: input.view.file,
      hint: "the model is damaged; without --nan error it is merged all the same",
    })),
  );
}

/** One warning per model whose tensors hold a NaN or an infinity; tensors in the order of the plan. */
export function nonFiniteWarnings(plan: MergePlan, results: readonly NativeResult[]): Problem[] {
  const byModel = new Map<string, Set<string>>();
  for (const [i, op] of plan.ops.entries()) {
    const flags = mayBeInfinite(op) ? [] : (results[i]?.nonFinite ?? []);
    for (const [j, input] of op.inputs.entries()) {
      if (!flags[j]) continue;
      const tensors = byModel.get(input.model) ?? new Set();
      byModel.set(input.model, tensors.add(input.tensor));
    }
  }
  return [...byModel].map(([model, tensors]) => {
    const named = [...tensors].slice(0, NAMED).join(", ");
    const more = tensors.size > NAMED ? ` and ${tensors.size - NAMED} more` : "";
    const noun = tensors.size === 1 ? "tensor holds" : "tensors hold";
    return {
      code: "non-finite",
      message: `${tensors.size} input ${noun} NaN or infinity, and so may the output: ${named}${more}`,
      model,
      hint: "sinter merge --nan error stops instead",
    };
  });
}
