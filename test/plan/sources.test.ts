import { describe, expect, test } from "bun:test";
import { codes, plan, problems, tinyModel } from "./models.ts";

const models = [
  ...["base", "a", "b", "c"].map((name) => tinyModel(name, { layers: 3 })),
  tinyModel("deep", { layers: 5 }),
  tinyModel("qwen", { layers: 3, class: "Qwen2ForCausalLM" }),
  tinyModel("mistral", { layers: 3, class: "MistralForCausalLM" }),
];
const UP = "mlp.up_proj.weight";
const read = (op: { inputs: readonly { model: string; tensor: string }[] }) =>
  op.inputs.map(({ model, tensor }) => `${model} ${tensor}`);

describe("a base model", () => {
  test("that is not among the models is added, last", () => {
    const merged = plan(
      "merge_method: linear\nbase_model: base\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}",
      models,
    );
    expect(merged.op("model.norm.weight").inputs.map(({ model }) => model)).toEqual(["a", "b", "base"]);
    expect(merged.plan.models).toEqual(["a", "b", "base"]);
    expect(merged.plan.baseModel).toBe("base");
  });

  test("that is among them keeps its place", () => {
    const yaml =
      "merge_method: ties\nbase_model: base\nmodels: [{model: a}, {model: base}, {model: b}]\nparameters: {weight: 1}";
    const op = plan(yaml, models).op("model.norm.weight");
    expect(op.inputs.map(({ model, position }) => [model, position])).toEqual([
      ["base", 1],
      ["a", 0],
      ["b", 2],
    ]);
  });

  test("may differ by slice", () => {
    const merged = plan(
      `
merge_method: slerp
base_model: a
parameters: {t: 0.25}
slices:
  - {base_model: b, sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 1]}]}
  - {sources: [{model: a, layer_range: [1, 2]}, {model: b, layer_range: [1, 2]}]}
`,
      models,
    );
    expect(merged.op(`model.layers.0.${UP}`).inputs.map(({ model }) => model)).toEqual(["b", "a"]);
    expect(merged.op(`model.layers.1.${UP}`).inputs.map(({ model }) => model)).toEqual(["a", "b"]);
  });

  test("is needed by methods that start from one", () => {
    expect(codes("merge_method: ties\nmodels: [{model: a}]\nparameters: {weight: 1}", models)).toEqual([
      "base-missing",
    ]);
    const slices = `
merge_method: ties
base_model: base
parameters: {weight: 1}
slices: [{sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 1]}]}]
`;
    expect(problems(slices, models)).toMatchObject([{ code: "base-missing", at: { line: 5 } }]);
  });
});

describe("the same model twice", () => {
  test("in one slice: both layer ranges are merged", () => {
    const merged = plan(
      `
merge_method: linear
parameters: {weight: 1}
slices: [{sources: [{model: a, layer_range: [0, 2]}, {model: a, layer_range: [1, 3]}]}]
`,
      models,
    );
    expect(read(merged.op(`model.layers.0.${UP}`))).toEqual([`a model.layers.0.${UP}`, `a model.layers.1.${UP}`]);
    expect(merged.op("model.norm.weight").inputs).toHaveLength(2);
  });

  test("in models: each has its own numbers and random draws", () => {
    const merged = plan(
      `
merge_method: dare_ties
base_model: base
models:
  - {model: a, parameters: {weight: 0.5, density: 0.3}}
  - {model: a, parameters: {weight: 0.2, density: 0.6}}
`,
      models,
    );
    const { inputs, params } = merged.op("model.norm.weight");
    expect(inputs.map(({ model, position }) => [model, position])).toEqual([
      ["base", 2],
      ["a", 0],
      ["a", 1],
    ]);
    expect(params.slice(3)).toEqual([0.5, 0.3, 0.2, 0.6]);
  });

  test("the base with layers of its own is a model besides the base, with the same layers it is the base again", () => {
    const slerp = (range: string) =>
      plan(
        `
merge_method: slerp
base_model: a
parameters: {t: 0.5}
slices: [{sources: [{model: a, layer_range: [0, 2]}, {model: a, layer_range: ${range}}]}]
`,
        models,
      ).op(`model.layers.0.${UP}`);
    expect(slerp("[1, 3]")).toMatchObject({ kernel: "slerp" });
    expect(read(slerp("[1, 3]"))).toEqual([`a model.layers.0.${UP}`, `a model.layers.1.${UP}`]);
    expect(slerp("[0, 2]")).toMatchObject({ kernel: "copy" });
  });
});

describe("slices", () => {
  test("may have different numbers of sources; the first and the last slice make what lies outside the layers", () => {
    const merged = plan(
      `
merge_method: linear
parameters: {weight: 1}
slices:
  - {sources: [{model: a, layer_range: [0, 1]}]}
  - {sources: [{model: b, layer_range: [1, 2]}, {model: c, layer_range: [0, 1]}]}
`,
      models,
    );
    expect(read(merged.op(`model.layers.1.${UP}`))).toEqual([`b model.layers.1.${UP}`, `c model.layers.0.${UP}`]);
    expect(read(merged.op("model.embed_tokens.weight"))).toEqual(["a model.embed_tokens.weight"]);
    expect(read(merged.op("model.norm.weight"))).toEqual(["b model.norm.weight", "c model.norm.weight"]);
    expect(merged.config.num_hidden_layers).toBe(2);
  });

  test("of different lengths and out of bounds are all reported", () => {
    const found = problems(
      `
merge_method: linear
slices:
  - {sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 1]}]}
  - {sources: [{model: a, layer_range: [0, 4]}]}
  - {sources: [{model: deep, layer_range: [2, 6]}]}
`,
      models,
    );
    expect(found.map(({ code, at }) => [code, at?.line])).toEqual([
      ["slice-length", 4],
      ["layer-range", 5],
      ["layer-range", 6],
    ]);
    expect(found[1]?.message).toBe("layer_range [0, 4] goes beyond the 3 layers of a");
  });

  test("a source that stands alone is copied by slerp", () => {
    const yaml = "merge_method: slerp\nparameters: {t: 1}\nslices: [{sources: [{model: a, layer_range: [0, 1]}]}]";
    expect(plan(yaml, models).op("model.norm.weight").kernel).toBe("copy");
  });
});

describe("whole models", () => {
  test("must have the same number of layers", () => {
    expect(problems("merge_method: linear\nmodels: [{model: a}, {model: deep}]", models)).toMatchObject([
      { code: "layer-count", message: "all models must have the same number of layers: a 3, deep 5", at: { line: 2 } },
    ]);
  });

  test.each([
    ["passthrough", "models: [{model: a}, {model: b}]", "passthrough merges 1 model, and here are 2: a, b"],
    [
      "slerp",
      "base_model: a\nmodels: [{model: a}, {model: b}, {model: c}]",
      "slerp merges 1 model besides the base, and here are 2: b, c",
    ],
    [
      "nearswap",
      "base_model: base\nmodels: [{model: a}, {model: b}]",
      "nearswap merges 1 model besides the base, and here are 2: a, b",
    ],
    ["nuslerp", "models: [{model: a}, {model: b}, {model: c}]", "nuslerp merges 2 models, and here are 3: a, b, c"],
  ])("%s takes no more than it can merge", (method, body, message) => {
    expect(problems(`merge_method: ${method}\n${body}\nparameters: {t: 1}`, models)).toMatchObject([
      { code: "model-count", message },
    ]);
  });

  test.each([
    ["model_stock", "base_model: base\nmodels: [{model: a}]", "model_stock merges at least 2 models besides the base"],
    ["nuslerp", "base_model: a\nmodels: [{model: a}, {model: b}]", "nuslerp merges 2 models besides the base"],
  ])("%s takes no less than it can merge", (method, body, message) => {
    const [problem] = problems(`merge_method: ${method}\n${body}\nparameters: {weight: 1}`, models);
    expect(problem).toMatchObject({ code: "model-count" });
    expect(problem?.message).toStartWith(`${message}, and here is 1: `);
  });

  test("a base that nuslerp could have merged is pointed out", () => {
    const yaml = "merge_method: nuslerp\nbase_model: a\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}";
    expect(problems(yaml, models)[0]?.hint).toContain("leave base_model out");
  });

  test("the base alone is copied by every method that works from it", () => {
    for (const method of [
      "slerp",
      "model_stock",
      "sce",
      "nearswap",
      "arcee_fusion",
      "multislerp",
      "nuslerp",
      "della",
    ]) {
      const yaml = `merge_method: ${method}\nbase_model: a\nmodels: [{model: a}]\nparameters: {t: 0.5}`;
      expect(plan(yaml, models).op("model.norm.weight")).toMatchObject({ kernel: "copy" });
    }
  });

  test("a base that was added to too many is pointed out", () => {
    const [problem] = problems("merge_method: passthrough\nbase_model: base\nmodels: [{model: a}]", models);
    expect(problem?.hint).toContain("base_model is not among the models");
  });
});

describe("an optional base", () => {
  test("is added to whole models, and no model beside them", () => {
    const yaml =
      "merge_method: multislerp\nbase_model: base\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}";
    const op = plan(yaml, models).op("model.norm.weight");
    expect(op.kernel).toBe("multislerp_base");
    expect(read(op).map((text) => text.split(" ")[0])).toEqual(["base", "a", "b"]);
  });

  test("that a slice does not name is missed with a warning", () => {
    const yaml = `
merge_method: nuslerp
base_model: base
parameters: {weight: 1}
slices:
  - sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 1]}]
  - sources: [{model: a, layer_range: [1, 2]}]
`;
    const merged = plan(yaml, models);
    expect(merged.warned).toEqual(["base-unused"]);
    expect(merged.op("model.layers.0.mlp.up_proj.weight").kernel).toBe("nuslerp");
    expect(merged.op("model.layers.1.mlp.up_proj.weight").kernel).toBe("copy");
  });
});

describe("modules", () => {
  const modules = (body: string) => `merge_method: linear\nparameters: {weight: 1}\nmodules: {${body}}`;

  test("are merged by name", () => {
    const merged = plan(modules("default: {models: [{model: a}, {model: b}]}"), models);
    expect(read(merged.op("model.norm.weight"))).toEqual(["a model.norm.weight", "b model.norm.weight"]);
  });

  test("that the family does not have are refused with the nearest name", () => {
    expect(problems(modules("defualt: {models: [{model: a}]}"), models)).toMatchObject([
      { code: "unknown-module", hint: "did you mean default?", at: { line: 3 } },
    ]);
  });
});

describe("different architectures", () => {
  const yaml = (other: string) =>
    `merge_method: linear\nmodels: [{model: a}, {model: ${other}}]\nparameters: {weight: 1}`;

  test("are refused", () => {
    expect(problems(yaml("mistral"), models)).toMatchObject([
      {
        code: "different-architectures",
        message: "the models are of different architectures: a (LlamaForCausalLM), mistral (MistralForCausalLM)",
      },
    ]);
  });

  test("are merged name by name with --allow-crimes", () => {
    const merged = plan(yaml("mistral"), models, { allowCrimes: true });
    expect(read(merged.op(`model.layers.2.${UP}`))).toEqual([`a model.layers.2.${UP}`, `mistral model.layers.2.${UP}`]);
  });

  test("with --allow-crimes, weights that only the others have are left out", () => {
    const merged = plan(yaml("qwen"), models, { allowCrimes: true });
    expect(merged.plan.ops.map(({ tensor }) => tensor)).not.toContain("model.layers.0.self_attn.q_proj.bias");
  });

  test("with --allow-crimes, weights that only the first has are copied, with a warning", () => {
    const yaml =
      "merge_method: linear\nmodels: [{model: qwen}, {model: a}]\nparameters: {weight: 0.5, normalize: false}";
    const merged = plan(yaml, models, { allowCrimes: true });
    const bias = merged.op("model.layers.0.self_attn.q_proj.bias");
    expect(read(bias)).toEqual(["qwen model.layers.0.self_attn.q_proj.bias"]);
    expect(bias.kernel).toBe("copy");
    expect(merged.report.warnings).toMatchObject([{ code: "copied-weights", model: "qwen" }]);
    expect(merged.report.warnings[0]?.message).toEndWith("layers.0.self_attn.v_proj.bias and 6 more");
  });
});
