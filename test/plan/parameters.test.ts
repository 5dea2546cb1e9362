import { describe, expect, test } from "bun:test";
import { codes, plan, problems, tinyModel } from "./models.ts";

const models = ["base", "a", "b"].map((name) => tinyModel(name, { layers: 3 }));
const linear = (body: string) => plan(`merge_method: linear\nparameters: {normalize: false}\n${body}`, models);
const layer = (index: number, name = "mlp.up_proj.weight") => `model.layers.${index}.${name}`;

describe("where a parameter is set", () => {
  const recipe = (source: string, slice: string, module: string, global: string) => `
merge_method: linear
parameters: {normalize: false${global}}
modules:
  default:
    parameters: {${module}}
    slices:
      - parameters: {${slice}}
        sources:
          - {model: a, layer_range: [0, 3], parameters: {${source}}}
          - {model: b, layer_range: [0, 3]}
`;

  test.each([
    ["the source wins", "weight: 1", "weight: 2", "weight: 3", ", weight: 4", [1, 2]],
    ["then the slice", "", "weight: 2", "weight: 3", ", weight: 4", [2, 2]],
    ["then the module", "", "", "weight: 3", ", weight: 4", [3, 3]],
    ["then the whole", "", "", "", ", weight: 4", [4, 4]],
  ])("%s", (_, source, slice, module, global, expected) => {
    expect(plan(recipe(source, slice, module, global), models).op(layer(1)).params).toEqual(expected);
  });

  test("a filter that does not match falls through to the next level", () => {
    const merged = plan(
      recipe("weight: [{filter: mlp, value: 1}]", "weight: [{filter: self_attn, value: 2}]", "", ", weight: 4"),
      models,
    );
    expect(merged.op(layer(1)).params).toEqual([1, 4]);
    expect(merged.op(layer(1, "self_attn.q_proj.weight")).params).toEqual([2, 2]);
    expect(merged.op("model.norm.weight").params).toEqual([4, 4]);
  });

  test("one of the whole tensor is not read from a source, and a warning says so", () => {
    const merged = plan(
      `
merge_method: slerp
base_model: a
parameters: {t: 0.3}
models: [{model: a}, {model: b, parameters: {t: 0.9}}]
`,
      models,
    );
    expect(merged.op(layer(0)).params).toEqual([0.3]);
    expect(merged.report.warnings).toMatchObject([{ code: "parameter-scope", at: { line: 5 } }]);
  });

  test("slice parameters hold for the weights before the first and after the last slice", () => {
    const merged = linear(`
slices:
  - {sources: [{model: a, layer_range: [0, 1]}], parameters: {weight: 2}}
  - {sources: [{model: b, layer_range: [1, 3]}], parameters: {weight: 3}}
`);
    expect(merged.op("model.embed_tokens.weight").params).toEqual([2]);
    expect(merged.op("lm_head.weight").params).toEqual([3]);
  });
});

describe("gradients", () => {
  test("spread over the layers of a slice, and start outside them", () => {
    const merged = linear("models: [{model: a, parameters: {weight: [0, 1]}}]");
    expect([0, 1, 2].map((index) => merged.op(layer(index)).params)).toEqual([[0], [0.5], []]);
    expect(merged.op(layer(2)).kernel).toBe("copy");
    expect(merged.op("model.embed_tokens.weight").params).toEqual([0]);
    expect(merged.op("lm_head.weight").params).toEqual([0]);
  });

  test("restart in each slice; a slice of one layer takes the end", () => {
    const merged = linear(`
slices:
  - {sources: [{model: a, layer_range: [0, 2], parameters: {weight: [2, 4]}}]}
  - {sources: [{model: a, layer_range: [2, 3], parameters: {weight: [2, 4]}}]}
`);
    expect([0, 1, 2].map((index) => merged.op(layer(index)).params)).toEqual([[2], [4], [4]]);
    expect(merged.op("model.norm.weight").params).toEqual([2]);
  });
});

describe("filters", () => {
  test("of a model's parameter look at that input's own name, those of the whole at the output's", () => {
    const shifted = plan(
      `
merge_method: task_arithmetic
base_model: base
parameters: {lambda: [{filter: layers.1., value: 5}, {value: 6}]}
slices:
  - sources:
      - {model: base, layer_range: [0, 2]}
      - {model: a, layer_range: [1, 3], parameters: {weight: [{filter: layers.1., value: 1}, {value: 2}]}}
`,
      models,
    );
    const weights = [0, 1].map((index) => shifted.op(layer(index)).params);
    expect(weights.map(([lambda, , , weight]) => [lambda, weight])).toEqual([
      [6, 1],
      [5, 2],
    ]);
  });

  test("the first that matches wins, and * matches all", () => {
    const merged = linear(`models:
  - model: a
    parameters: {weight: [{filter: up_proj, value: 2}, {filter: "*", value: 3}, {filter: mlp, value: 4}]}`);
    expect(merged.op(layer(0)).params).toEqual([2]);
    expect(merged.op(layer(0, "mlp.down_proj.weight")).params).toEqual([3]);
  });
});

describe("values that are not there", () => {
  test("a required one is reported once for each model, not for each tensor", () => {
    const found = problems("merge_method: linear\nmodels: [{model: a}, {model: b}]", models);
    expect(found).toMatchObject([
      { code: "missing-parameter", message: "linear needs weight for a", at: { line: 2 } },
      { code: "missing-parameter", message: "linear needs weight for b", at: { line: 2 } },
    ]);
    expect(found.every(({ tensor }) => tensor === undefined)).toBe(true);
  });

  test("filters that leave tensors out name the first of them", () => {
    const yaml = "merge_method: linear\nmodels: [{model: a, parameters: {weight: [{filter: embed, value: 1}]}}]";
    expect(problems(yaml, models)).toMatchObject([
      { code: "missing-parameter", tensor: layer(0, "input_layernorm.weight") },
    ]);
  });

  test("t of slerp is required", () => {
    const yaml = "merge_method: slerp\nbase_model: a\nmodels: [{model: a}, {model: b}]";
    expect(codes(yaml, models)).toEqual(["missing-parameter"]);
  });

  test("a base of task vectors needs no weight, a base that is one more model does", () => {
    const body = "base_model: base\nmodels: [{model: a, parameters: {weight: 1}}]";
    expect(plan(`merge_method: ties\n${body}`, models).op(layer(0)).inputs).toHaveLength(2);
    expect(problems(`merge_method: linear\n${body}`, models)).toMatchObject([
      { code: "missing-parameter", message: "linear needs weight for base", at: { line: 2 } },
    ]);
  });
});

describe("values that make no sense", () => {
  test("one out of bounds is refused where it stands, once", () => {
    const yaml = `
merge_method: ties
base_model: base
models: [{model: a, parameters: {weight: 1, density: [0.5, -0.1]}}]
`;
    expect(problems(yaml, models)).toMatchObject([
      { code: "parameter-range", at: { line: 4 }, tensor: layer(2, "input_layernorm.weight") },
    ]);
  });

  test("weights that sum to zero are refused once, with the place of the slice", () => {
    const yaml =
      "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: -1}}]";
    expect(problems(yaml, models)).toMatchObject([
      { code: "weights-sum-zero", at: { line: 2 }, tensor: "model.embed_tokens.weight" },
    ]);
  });
});

describe("names that the method does not have", () => {
  const yaml = `
merge_method: linear
parameters: {bogus: 1}
models:
  - {model: a, parameters: {weigth: 2, weight: 1}}
  - {model: b, parameters: {weigth: 2, weight: 1}}
`;

  test("are warnings at each place, with the nearest name", () => {
    const { warnings } = plan(yaml, models).report;
    expect(warnings.map(({ code, at }) => [code, at?.line])).toEqual([
      ["unknown-parameter", 3],
      ["unknown-parameter", 5],
      ["unknown-parameter", 6],
    ]);
    expect(warnings[1]?.hint).toBe("did you mean weight?");
  });

  test("are errors under --strict", () => {
    expect(codes(yaml, models, { strict: true })).toEqual(Array(3).fill("unknown-parameter"));
  });
});
