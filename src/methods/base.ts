import type { LowerArgs, MethodInput } from "./types.ts";

/** Indices into the inputs: the base, or -1 where there is none, and what is not the base, in order. */
export interface BaseAndModels {
  base: number;
  models: readonly number[];
}

/** Tells the base from the models. Sources that equal the base have no difference from it, and are left out. */
export function baseAndModels({ inputs }: LowerArgs): BaseAndModels {
  const models: number[] = [];
  inputs.forEach((input, i) => {
    if (!input.isBase) models.push(i);
  });
  return { base: inputs.findIndex((input) => input.isBase), models };
}

/** The inputs at these indices. */
export function inputsAt({ inputs }: LowerArgs, indices: readonly number[]): MethodInput[] {
  return indices.map((i) => inputs[i] as MethodInput);
}
