import { expect, test } from "bun:test";
import { benchRecipe } from "../../src/bench/recipe.ts";
import { findMethod, methods } from "../../src/methods/index.ts";
import type { MergeMethod, ParameterSpec } from "../../src/methods/types.ts";

function recipe(method: string | MergeMethod, models: string[], base?: string) {
  const declared = typeof method === "string" ? (findMethod(method) as MergeMethod) : method;
  return benchRecipe(declared, { models, base, values: new Map(), dtype: undefined });
}

/** Names of the methods that fit. */
function fitting(models: string[], base?: string): string[] {
  return methods.filter((method) => !("reason" in recipe(method, models, base))).map(({ name }) => name);
}

test("a recipe is a configuration with the models, the base and the values", () => {
  expect(recipe("ties", ["a", "b"], "c")).toEqual({
    merge_method: "ties",
    base_model: "c",
    models: [
      { model: "a", parameters: { weight: 0.5, density: 0.5 } },
      { model: "b", parameters: { weight: 0.5, density: 0.5 } },
    ],
  });
});

test("a recipe carries the dtype and the values of the whole merge", () => {
  const values = new Map([["nuslerp_flatten", false]]);
  const nuslerp = findMethod("nuslerp") as MergeMethod;
  expect(benchRecipe(nuslerp, { models: ["a", "b"], base: undefined, values, dtype: "float32" })).toEqual({
    merge_method: "nuslerp",
    models: ["a", "b"].map((model) => ({ model, parameters: { weight: 0.5 } })),
    parameters: { nuslerp_flatten: false },
    dtype: "float32",
  });
});

test("two models with a base fit every method that merges two", () => {
  const left = methods.map(({ name }) => name).filter((name) => !fitting(["a", "b"], "c").includes(name));
  expect(left).toEqual(["passthrough", "slerp", "nearswap", "arcee_fusion"]);
});

test("two models without a base fit what needs none, and what goes from one model to another", () => {
  expect(fitting(["a", "b"])).toEqual([
    "linear",
    "slerp",
    "nuslerp",
    "multislerp",
    "karcher",
    "nearswap",
    "arcee_fusion",
  ]);
  expect(recipe("slerp", ["a", "b"])).toMatchObject({ base_model: "a", models: [{ model: "b" }] });
});

test("one model and its base fit what merges one model with a base, and what copies one model", () => {
  const names = fitting(["a"], "c");
  for (const name of ["passthrough", "slerp", "nearswap", "arcee_fusion", "ties"]) expect(names).toContain(name);
  for (const name of ["nuslerp", "model_stock"]) expect(names).not.toContain(name);
});

test("methods without a special base do not merge the base as one more model", () => {
  expect(recipe("linear", ["a", "b"], "c")).toEqual({
    merge_method: "linear",
    models: ["a", "b"].map((model) => ({ model, parameters: { weight: 0.5 } })),
  });
});

test("a base that stands among the models has no difference to merge", () => {
  expect(recipe("ties", ["c", "a"], "c")).toMatchObject({ base_model: "c", models: [{ model: "a" }] });
  expect(recipe("linear", ["c", "a"], "c")).toMatchObject({ models: [{ model: "c" }, { model: "a" }] });
});

test.each([
  ["ties", ["a", "b"], undefined, "needs a base model: --base"],
  ["slerp", ["a", "b", "c"], undefined, "needs a base model: --base"],
  [
    "slerp",
    ["a", "b"],
    "c",
    "merges 1 model besides the base, not 2; without --base it goes from the first to the second",
  ],
  ["model_stock", ["a"], "c", "merges at least 2 models besides the base, not 1"],
  ["nuslerp", ["a", "b", "d"], undefined, "merges 2 models, not 3"],
  ["ties", ["c"], "c", "merges at least 1 model besides the base, not 0"],
])("%s of %j with base %p does not fit, and says why", (method, models, base, reason) => {
  expect(recipe(method, models, base)).toEqual({ reason });
});

test("a required parameter without a value is named with the option that sets it", () => {
  const spec: ParameterSpec = { name: "strength", scope: "global", type: "number", required: true, doc: "" };
  const made: MergeMethod = { ...(findMethod("linear") as MergeMethod), name: "made", parameters: [spec] };
  expect(recipe(made, ["a"])).toEqual({ reason: "needs a value for strength: --set made.strength=VALUE" });
});
