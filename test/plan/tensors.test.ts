import { describe, expect, test } from "bun:test";
import type { Dtype } from "../../src/model/dtype.ts";
import { codes, plan, problems, type TinyModel, tinyModel } from "./models.ts";

const UP = "model.layers.0.mlp.up_proj.weight";
const average = (more = "") =>
  `merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: a}, {model: b}]\n${more}`;
const pair = (a: TinyModel, b: TinyModel = {}) => [tinyModel("a", a), tinyModel("b", b)];

describe("tensors that are missing", () => {
  test("are all listed, with model and place", () => {
    const models = pair(
      { tensors: { [UP]: undefined } },
      { tensors: { "model.norm.weight": undefined, [UP]: undefined } },
    );
    expect(problems(average(), models)).toMatchObject([
      { code: "missing-tensor", model: "a", tensor: UP, at: { line: 3, column: 18 } },
      { code: "missing-tensor", model: "b", tensor: UP },
      { code: "missing-tensor", model: "b", tensor: "model.norm.weight" },
    ]);
  });

  test("are named once although several slices want them", () => {
    const yaml = `
merge_method: passthrough
slices:
  - {sources: [{model: a, layer_range: [0, 1]}]}
  - {sources: [{model: a, layer_range: [0, 1]}]}
`;
    expect(problems(yaml, pair({ tensors: { [UP]: undefined } }))).toHaveLength(1);
  });

  test("in layers that are not taken do not matter", () => {
    const yaml = "merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [1, 2]}]}]";
    expect(plan(yaml, pair({ tensors: { [UP]: undefined } })).plan.ops).toHaveLength(12);
  });
});

describe("shapes that differ", () => {
  const odd = {
    tensors: { [UP]: { dtype: "BF16", shape: [2, 4] }, "model.norm.weight": { dtype: "BF16", shape: [5] } },
  } as const;

  test("are all refused, with both shapes and models", () => {
    expect(problems(average(), pair({}, odd))).toMatchObject([
      { code: "shape-mismatch", tensor: UP, message: "the models' tensors differ in shape: a [4, 4], b [2, 4]" },
      { code: "shape-mismatch", tensor: "model.norm.weight" },
    ]);
  });

  test("are refused for task vectors, too", () => {
    const ties = "merge_method: ties\nbase_model: a\nparameters: {weight: 1}\nmodels: [{model: b}]";
    expect(codes(ties, pair({}, odd))).toEqual(["shape-mismatch", "shape-mismatch"]);
  });

  test("an embedding whose width differs is no matter of vocabulary", () => {
    const wide = { tensors: { "model.embed_tokens.weight": { dtype: "BF16", shape: [10, 5] } } } as const;
    expect(codes(average(), pair({}, wide))).toEqual(["shape-mismatch"]);
  });
});

describe("every kind of problem of the last step", () => {
  test("comes in one list", () => {
    const yaml = average("").replace("{weight: 1}", "{}");
    const models = pair(
      { tensors: { [UP]: undefined } },
      { tensors: { "model.norm.weight": { dtype: "BF16", shape: [5] } } },
    );
    expect(codes(yaml, models).toSorted()).toEqual([
      "missing-parameter",
      "missing-parameter",
      "missing-tensor",
      "shape-mismatch",
    ]);
  });

  test("comes in one list before anything is opened in vain", () => {
    const yaml = "merge_method: tise\nchat_template: chatlm\nmodels: [{model: x}, {model: y}]";
    expect(codes(yaml, []).toSorted()).toEqual(["chat-template", "no-model", "no-model", "unknown-method"]);
  });
});

describe("the dtype of an output tensor", () => {
  const dtypes = (method: string, a: Dtype, b: Dtype, more = "") =>
    plan(
      `merge_method: ${method}\nbase_model: a\nparameters: {weight: 1, t: 0.5}\nmodels: [{model: a}, {model: b}]\n${more}`,
      pair({ dtype: a }, { dtype: b }),
    ).op(UP).dtype;

  test.each([
    ["linear", "F16", "F32", "F32"],
    ["linear", "F16", "BF16", "F32"],
    ["linear", "F64", "BF16", "F64"],
    ["linear", "BF16", "BF16", "BF16"],
    ["slerp", "F16", "F32", "F16"],
    ["ties", "BF16", "F32", "BF16"],
    ["dare_linear", "F32", "BF16", "F32"],
    ["breadcrumbs", "BF16", "F32", "BF16"],
    ["multislerp", "F16", "F32", "F32"],
    ["karcher", "F16", "BF16", "F32"],
    ["nearswap", "BF16", "F32", "F32"],
    ["arcee_fusion", "BF16", "F32", "F32"],
    ["arcee_fusion", "BF16", "BF16", "BF16"],
    ["ramplus_tl", "F16", "F16", "F16"],
    ["sce", "BF16", "F16", "F32"],
  ] as const)("%s of %s and %s, unset: %s", (method, a, b, expected) => {
    expect(dtypes(method, a, b)).toBe(expected);
  });

  test("dtype decides, and out_dtype before it", () => {
    expect(dtypes("ties", "F32", "F32", "dtype: bfloat16")).toBe("BF16");
    expect(dtypes("ties", "F32", "F32", "dtype: float32\nout_dtype: torch.float16")).toBe("F16");
  });

  test("a copy whose dtype changes becomes a sum of one", () => {
    const copy = (more: string) => plan(`merge_method: passthrough\nmodels: [{model: a}]\n${more}`, pair({})).op(UP);
    expect(copy("dtype: bfloat16")).toMatchObject({ kernel: "copy", params: [], dtype: "BF16" });
    expect(copy("dtype: float16")).toMatchObject({ kernel: "linear", params: [1], dtype: "F16" });
  });

  test("the base alone is copied in the base's dtype", () => {
    const yaml = "merge_method: ties\nbase_model: a\nmodels: [{model: a}]";
    expect(plan(yaml, pair({ dtype: "F16" })).op(UP)).toMatchObject({ kernel: "copy", dtype: "F16" });
  });
});

describe("integers", () => {
  const integer = (dtype: Dtype, shape: number[]): TinyModel => ({ tensors: { [UP]: { dtype, shape } } });

  test("are copied from the base, whatever dtype says", () => {
    const yaml = "merge_method: ties\nbase_model: b\ndtype: float32\nparameters: {weight: 1}\nmodels: [{model: a}]";
    const op = plan(yaml, pair(integer("I64", [3]), integer("I64", [3]))).op(UP);
    expect(op).toMatchObject({ kernel: "copy", dtype: "I64", shape: [3], params: [] });
    expect(op.inputs.map(({ model }) => model)).toEqual(["b"]);
  });

  test("without a base are copied from the first model", () => {
    const op = plan(average(), pair(integer("U8", []), integer("U8", []))).op(UP);
    expect(op.inputs.map(({ model }) => model)).toEqual(["a"]);
  });

  test("of different shapes are refused, and so are integers with floats", () => {
    expect(codes(average(), pair(integer("I64", [3]), integer("I64", [4])))).toEqual(["shape-mismatch"]);
    expect(codes(average(), pair(integer("I64", [4, 4])))).toEqual(["mixed-dtypes"]);
  });
});

test("a 0-d tensor is merged as one element", () => {
  const scalar: TinyModel = { tensors: { [UP]: { dtype: "F32", shape: [] } } };
  const ties = "merge_method: ties\nbase_model: a\nparameters: {weight: 1, density: 0.5}\nmodels: [{model: b}]";
  expect(plan(ties, pair(scalar, scalar)).op(UP)).toMatchObject({ shape: [], params: [1, 1, 0, 1, 0] });
});
