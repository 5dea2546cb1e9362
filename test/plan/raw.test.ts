import { describe, expect, test } from "bun:test";
import { readMergeConfig } from "../../src/config/read.ts";
import { formatProblem, Report, SinterError } from "../../src/errors.ts";
import type { Dtype } from "../../src/model/dtype.ts";
import type { Model, TensorView } from "../../src/model/types.ts";
import { buildRawPlan } from "../../src/plan/raw.ts";
import { DEFAULT_OPTIONS, type RawTensors } from "../../src/plan/types.ts";

function model(name: string, tensors: Record<string, [Dtype, ...number[]]>): Model {
  const file = `/checkpoints/${name}.safetensors`;
  const views = Object.entries(tensors).map(([tensor, [dtype, ...shape]], i): [string, TensorView] => {
    return [tensor, { file, offset: 1000 * i, dtype, shape }];
  });
  return {
    ref: { model: { path: name } },
    name,
    dir: "/checkpoints",
    config: {},
    architecture: undefined,
    tensors: new Map(views),
    weightFiles: [{ path: file, size: 100_000 }],
    sideFiles: [],
  };
}

const A = model("a", {
  "blocks.0.w": ["F16", 4, 4],
  "blocks.1.w": ["F16", 4, 4],
  ids: ["I64", 1, 7],
  only_a: ["F16", 2],
});
const B = model("b", {
  "blocks.0.w": ["F32", 4, 4],
  "blocks.1.w": ["F32", 4, 4],
  ids: ["F32", 1, 7],
  only_b: ["F32", 3],
});
const C = model("c", { "blocks.1.w": ["F16", 4, 4], only_b: ["F32", 3] });

function plan(yaml: string, tensors: RawTensors = "all", models: readonly Model[] = [A, B, C]) {
  const report = new Report();
  const config = readMergeConfig(yaml, "r.yml", { strict: false }, report);
  const planned = buildRawPlan(config, DEFAULT_OPTIONS, tensors, report, (named) =>
    models.find(({ name }) => name === named.ref.model.path),
  );
  const op = (tensor: string) => planned.ops.find((one) => one.tensor === tensor);
  return { planned, op, warnings: report.warnings.map(formatProblem) };
}

function problems(...args: Parameters<typeof plan>): string {
  try {
    plan(...args);
  } catch (error) {
    if (error instanceof SinterError) return error.problems.map(formatProblem).join("\n");
  }
  throw new Error("the plan was made");
}

const linear = (...names: string[]) =>
  `merge_method: linear\nmodels:\n${names.map((name) => `  - {model: ${name}, parameters: {weight: 1}}\n`).join("")}`;

describe("a raw merge", () => {
  test("of models that differ in tensors is refused, with what each lacks and what can be done", () => {
    const text = problems(linear("a", "b"));
    expect(text).toContain("r.yml:3:13: the model lacks a tensor that another has: only_b (model a)");
    expect(text).toContain("the model lacks a tensor that another has: only_a (model b)");
    expect(text).toContain("--tensor-intersection leaves such tensors out, --tensor-union");
  });

  test("of the intersection has what all have", () => {
    const { planned } = plan(linear("a", "b"), "intersection");
    expect(planned.ops.map(({ tensor }) => tensor)).toEqual(["blocks.0.w", "blocks.1.w", "ids"]);
  });

  test("of the union merges each tensor of those that have it, and copies what one has", () => {
    const { planned, op, warnings } = plan(linear("a", "b", "c"), "union");
    expect(planned.ops.map(({ tensor }) => tensor)).toEqual(["blocks.0.w", "blocks.1.w", "ids", "only_a", "only_b"]);
    expect(op("blocks.0.w")).toMatchObject({ kernel: "linear", params: [0.5, 0.5] });
    expect(op("blocks.1.w")?.inputs.map((input) => input.model)).toEqual(["a", "b", "c"]);
    expect(op("only_b")?.inputs.map((input) => input.model)).toEqual(["b", "c"]);
    expect(op("only_a")).toMatchObject({ kernel: "copy", inputs: [{ model: "a" }] });
    expect(warnings.join()).toContain("copied from one model, because not every model has it: only_a (model a)");
  });

  test("of the union without its base copies, where the method needs one", () => {
    const ties = "merge_method: ties\nbase_model: a\nparameters: {weight: 1}\nmodels: [{model: b}, {model: c}]\n";
    const { op } = plan(ties, "union");
    expect(op("blocks.0.w")).toMatchObject({ kernel: "ties", inputs: [{ model: "a" }, { model: "b" }] });
    expect(op("only_b")).toMatchObject({ kernel: "copy", inputs: [{ model: "b" }] });
  });

  test("copies what is whole numbers in one model and floating point in another", () => {
    const { op, warnings } = plan(linear("a", "b"), "intersection");
    expect(op("ids")).toMatchObject({ kernel: "copy", dtype: "I64", inputs: [{ model: "a" }] });
    expect(warnings.join()).toContain("whole numbers in one model");
  });

  test("has gradients over the blocks, and weights of zero", () => {
    const yaml =
      "merge_method: linear\nmodels:\n  - {model: a, parameters: {weight: [0, 1]}}\n  - {model: b, parameters: {weight: 1}}\n";
    const { op } = plan(yaml, "intersection");
    expect(op("blocks.0.w")?.params).toEqual([0, 1]);
    expect(op("blocks.1.w")?.params).toEqual([0.5, 0.5]);
  });

  test.each(["all", "intersection", "union"] as const)(
    "of models without a common tensor is refused (%s)",
    (tensors) => {
      const other = model("d", { "model.blocks.0.w": ["F16", 4, 4] });
      const text = problems(linear("a", "d"), tensors, [A, other]);
      expect(text).toContain(
        "the models have no tensor in common: a has blocks.0.w, blocks.1.w, ids and 1 more; d has",
      );
      expect(text).toContain('d has "model." before names of a');
    },
  );

  test("knows no layers, modules or tokenizer", () => {
    const sliced = "merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [0, 1]}]}]\n";
    expect(problems(sliced)).toContain("a raw merge goes by tensor names and knows no layers to slice");
  });

  test("of different shapes is refused", () => {
    const other = model("d", { "blocks.0.w": ["F16", 4, 5], "blocks.1.w": ["F16", 4, 4] });
    expect(problems(linear("a", "d"), "intersection", [A, other])).toContain("differ in shape: a [4, 4], d [4, 5]");
  });

  test("writes weights and nothing else", () => {
    const { planned } = plan(linear("a", "b"), "intersection");
    expect(planned.sideFiles).toEqual([]);
    expect(planned.recipe).toMatchObject({ program: "raw", options: { tensors: "intersection" } });
  });
});
