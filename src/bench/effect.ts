import { PARTS, type Part } from "./parts.ts";
import type { Effect } from "./types.ts";

/**
 * A tensor's sums. `compared` is what `Addon.compare` gives for `[reference, v, m_1 … m_k]`: sum of d², sum of d d_v
 * and number of d that are not zero for v and each m; then the number of elements that some m changed, and of those
 * whose signs disagree; then the sum of squares of each, the reference first.
 */
export interface TensorSums {
  part: Part;
  elements: number;
  compared: Float64Array;
}

/**
 * From sums to norms, cosines and shares: for each part that has tensors, and for all together.
 * @param models k: how many models v is held against.
 */
export function effectsOf(tensors: readonly TensorSums[], models: number): Effect[] {
  const parts = PARTS.filter((part) => tensors.some((tensor) => tensor.part === part));
  const effects = parts.map((part) =>
    effectOf(
      part,
      tensors.filter((tensor) => tensor.part === part),
      models,
    ),
  );
  return [...effects, effectOf("total", tensors, models)];
}

function effectOf(part: Effect["part"], tensors: readonly TensorSums[], models: number): Effect {
  const sums = new Float64Array(4 * (models + 2));
  let elements = 0;
  for (const tensor of tensors) {
    elements += tensor.elements;
    tensor.compared.forEach((value, i) => {
      sums[i] = (sums[i] as number) + value;
    });
  }
  const at = (index: number) => sums[index] as number;
  const change = at(0);
  const conflicts = 3 * (models + 1);
  const reference = at(conflicts + 2);
  return {
    part,
    tensors: tensors.length,
    elements,
    referenceNorm: Math.sqrt(reference),
    changeNorm: Math.sqrt(change),
    relativeChange: Math.sqrt(change / reference),
    cosines: Array.from({ length: models }, (_, i) => cosine(at(3 * i + 4), change, at(3 * i + 3))),
    signConflicts: at(conflicts + 1) / at(conflicts),
    density: at(2) / elements,
  };
}

/** NaN where one of the vectors is zero. Rounding may carry the quotient past 1. */
function cosine(product: number, squaresA: number, squaresB: number): number {
  const quotient = product / (Math.sqrt(squaresA) * Math.sqrt(squaresB));
  return Math.min(1, Math.max(-1, quotient));
}
