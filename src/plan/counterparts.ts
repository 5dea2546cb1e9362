import type { WeightSpec } from "../architecture/types.ts";

/**
 * For each weight of an output layer, the weight of an input layer that goes into it: the one whose name is the same
 * but for the number of the layer. Undefined where the input's layer has none (layers of one model may differ).
 * @param layers numbers of the output's and of the input's layer.
 */
export function layerCounterparts(
  outputs: readonly WeightSpec[],
  inputs: readonly WeightSpec[],
  layers: { output: number; input: number },
): readonly (WeightSpec | undefined)[] {
  if (outputs === inputs || (layers.output === layers.input && sameNames(outputs, inputs))) return inputs;
  const wanted = outputs.map((spec) => withoutLayer(spec.name, layers.output));
  const offered = inputs.map((spec) => withoutLayer(spec.name, layers.input));
  if (wanted.length === offered.length && wanted.every((name, i) => name === offered[i])) return inputs;
  const byName = new Map(offered.map((name, i) => [name, inputs[i]]));
  return wanted.map((name) => byName.get(name));
}

function sameNames(outputs: readonly WeightSpec[], inputs: readonly WeightSpec[]): boolean {
  return outputs.length === inputs.length && outputs.every(({ name }, i) => name === inputs[i]?.name);
}

/** What follows the layer's number: prefixes differ between checkpoints of one family. */
function withoutLayer(name: string, layer: number): string {
  const number = `${layer}.`;
  if (name.startsWith(number)) return name.slice(number.length);
  const at = name.indexOf(`.${number}`);
  return at < 0 ? name : name.slice(at + 1 + number.length);
}

/**
 * The same for the weights before or after the layers: by name, and between models of one family that have as many
 * weights there, by position.
 */
export function outerCounterparts(
  outputs: readonly WeightSpec[],
  inputs: readonly WeightSpec[],
  sameFamily: boolean,
): readonly (WeightSpec | undefined)[] {
  if (outputs === inputs || (sameFamily && outputs.length === inputs.length)) return inputs;
  const byName = new Map(inputs.map((spec) => [spec.name, spec]));
  return outputs.map((spec) => byName.get(spec.name));
}
