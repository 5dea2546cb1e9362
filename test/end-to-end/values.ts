import { expect } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { disagreement } from "../oracle/agreement.ts";
import { decode } from "../oracle/dtype.ts";
import type { OracleOp } from "../oracle/methods.ts";
import type { StoredTensor } from "../support/safetensors.ts";

export type Tensors = ReadonlyMap<string, StoredTensor>;

/** What a merged tensor should be, without any of the program's planning. */
export interface Recipe {
  kernel: string;
  /** By the number of elements. */
  params(count: number): number[];
  dtype: FloatDtype;
}

export function valuesOf(tensor: StoredTensor | undefined): Float64Array {
  if (tensor === undefined) throw new Error("the tensor is not there");
  return decode(tensor.bytes, tensor.dtype as FloatDtype);
}

/** Expects `ours` to be what the oracle makes of `inputs` by `recipe`. */
export function expectMerged(
  name: string,
  ours: StoredTensor | undefined,
  recipe: Recipe,
  inputs: readonly (StoredTensor | undefined)[],
): void {
  const values = inputs.map(valuesOf);
  const count = (values[0] as Float64Array).length;
  const op: OracleOp = {
    kernel: recipe.kernel,
    params: recipe.params(count),
    inputs: values.map((list, i) => ({ values: list, dtype: inputs[i]?.dtype as FloatDtype, stream: i })),
    dtype: recipe.dtype,
    count,
    seed: 0,
    tensor: name,
  };
  expect([name, ours?.dtype, ours?.shape]).toEqual([name, recipe.dtype, inputs[0]?.shape as number[]]);
  expect([name, disagreement(valuesOf(ours), op)]).toEqual([name, undefined]);
}

/** The same for every tensor of the first model, by its name in all of them. */
export function expectAllMerged(output: Tensors, recipe: Recipe, models: readonly Tensors[]): void {
  const names = [...(models[0] as Tensors).keys()];
  expect([...output.keys()].toSorted()).toEqual(names.toSorted());
  for (const name of names)
    expectMerged(
      name,
      output.get(name),
      recipe,
      models.map((tensors) => tensors.get(name)),
    );
}
