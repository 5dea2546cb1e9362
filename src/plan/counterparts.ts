import type { WeightSpec } from "../architecture/types.ts";

/**
 * For each weight of an output layer (or of what lies before or after the layers), the weight of an input that goes
 * into it: the one with the same key, else the only embedding or the only head. Undefined where the input has none
 * (layers of one model may differ).
 */
export function counterparts(
  outputs: readonly WeightSpec[],
  inputs: readonly WeightSpec[],
): readonly (WeightSpec | undefined)[] {
  if (outputs === inputs || sameKeys(outputs, inputs)) return inputs;
  const byKey = new Map(inputs.map((spec) => [spec.key, spec]));
  return outputs.map((spec) => byKey.get(spec.key) ?? onlyOfRole(spec, outputs, inputs));
}

function sameKeys(outputs: readonly WeightSpec[], inputs: readonly WeightSpec[]): boolean {
  return outputs.length === inputs.length && outputs.every(({ key }, i) => key === inputs[i]?.key);
}

/** Families differ in what they call embeddings and heads. */
function onlyOfRole(
  { role }: WeightSpec,
  outputs: readonly WeightSpec[],
  inputs: readonly WeightSpec[],
): WeightSpec | undefined {
  if (role === undefined || outputs.filter((spec) => spec.role === role).length !== 1) return undefined;
  const [first, ...more] = inputs.filter((spec) => spec.role === role);
  return more.length === 0 ? first : undefined;
}
