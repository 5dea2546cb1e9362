import { describe, expect, test } from "bun:test";
import type { Model, TensorView } from "../../src/model/types.ts";
import { plan, problems } from "./models.ts";
import { recordedAs } from "./recorded-models.ts";

const linear = (...names: string[]) =>
  `merge_method: linear\nmodels: [${names.map((name) => `{model: ${name}}`).join(", ")}]\nparameters: {weight: 1}`;

const LAYER = "model.layers.1.mlp";
const UP = `${LAYER}.experts.2.up_proj.weight`;
const DOWN = `${LAYER}.experts.2.down_proj.weight`;
const separate = (name: string) => recordedAs(name, "qwen3_moe-untied");
const packed = (name: string) => recordedAs(name, "qwen3_moe-untied-v5names");

/** Where a stored tensor begins in its file. */
function start(model: Model, tensor: string): number {
  return model.tensors.get(tensor)?.offset as number;
}

describe("experts, each in tensors of its own or all packed in one", () => {
  test("stay as they are where all models agree", () => {
    expect(plan(linear("a", "b"), [separate("a"), separate("b")]).op(UP).shape).toEqual([24, 32]);
    const merged = plan(linear("a", "b"), [packed("a"), packed("b")]);
    expect(merged.op(`${LAYER}.experts.gate_up_proj`).shape).toEqual([4, 48, 32]);
    expect(merged.plan.ops.map(({ tensor }) => tensor)).not.toContain(UP);
  });

  test.each([
    ["the first", [packed("a"), separate("b")]],
    ["the second", [separate("a"), packed("b")]],
  ])("are taken apart where %s packs them: each is read from where it lies", (_, models) => {
    const merged = plan(linear("a", "b"), models);
    const whole = models.find(({ name }) => name === (_ === "the first" ? "a" : "b")) as Model;
    const view = (tensor: string) => merged.op(tensor).inputs.find(({ model }) => model === whole.name)?.view;
    const gateUp = start(whole, `${LAYER}.experts.gate_up_proj`);
    expect(view(UP)).toMatchObject({ shape: [24, 32], offset: gateUp + 4 * (2 * 48 * 32 + 24 * 32) });
    const down = start(whole, `${LAYER}.experts.down_proj`);
    expect(view(DOWN)).toMatchObject({ shape: [32, 24], offset: down + 4 * (2 * 32 * 24) });
    expect(merged.plan.ops.map(({ tensor }) => tensor)).not.toContain(`${LAYER}.experts.gate_up_proj`);
    expect(merged.warned).not.toContain("unknown-tensors");
    expect(merged.config.num_local_experts).toBe(4);
  });

  test.each([
    ["gate_up_proj", 8],
    ["down_proj", 4],
  ])("cover %s without gap or overlap", (part, count) => {
    const whole = packed("a");
    const merged = plan(linear("a", "b"), [whole, separate("b")]);
    const pieces = merged.plan.ops
      .flatMap(({ inputs }) => inputs.filter(({ tensor }) => tensor === `${LAYER}.experts.${part}`))
      .map(({ view: { offset, shape } }) => ({ offset, end: offset + 4 * shape.reduce((a, b) => a * b) }))
      .toSorted((a, b) => a.offset - b.offset);
    expect(pieces).toHaveLength(count);
    expect(pieces.slice(1).map(({ offset }) => offset)).toEqual(pieces.slice(0, -1).map(({ end }) => end));
    const from = start(whole, `${LAYER}.experts.${part}`);
    expect([pieces[0]?.offset, pieces.at(-1)?.end]).toEqual([from, from + 4 * 4 * (part === "down_proj" ? 768 : 1536)]);
  });

  test("of Mixtral have other names besides, and so has the router", () => {
    const models = [recordedAs("a", "mixtral-untied"), recordedAs("b", "mixtral-untied-v5names")];
    const merged = plan(linear("a", "b"), models);
    const router = merged.op("model.layers.0.block_sparse_moe.gate.weight");
    expect(router.inputs.map(({ tensor }) => tensor)).toEqual([
      "model.layers.0.block_sparse_moe.gate.weight",
      "model.layers.0.mlp.gate.weight",
    ]);
    const up = merged.op("model.layers.0.block_sparse_moe.experts.1.w3.weight");
    expect(up.inputs[1]?.tensor).toBe("model.layers.0.mlp.experts.gate_up_proj");
    const first = plan(linear("b", "a"), models);
    expect(first.op("model.layers.0.mlp.gate.weight").inputs).toHaveLength(2);
    expect(first.op("model.layers.0.block_sparse_moe.experts.1.w3.weight").inputs).toHaveLength(2);
  });

  describe("that are packed the other way round", () => {
    const UP = "model.language_model.layers.0.mlp.experts.gate_up_proj";
    const usual = (name: string) => recordedAs(name, "qwen3_vl_moe-tied");
    const published = (name: string) => recordedAs(name, "qwen3_vl_moe-publishedorientation-tied");

    test.each([
      ["transformers 5 first", usual("a"), published("b"), [4, 48, 32], [1536, 1, 48]],
      ["the published model first", published("a"), usual("b"), [4, 32, 48], [1536, 1, 32]],
    ] as const)("are read transposed, with a warning: %s", (_, a, b, shape, strides) => {
      const merged = plan(linear("a", "b"), [a, b]);
      const op = merged.op(UP);
      expect(op.shape).toEqual(shape);
      expect(op.inputs.map(({ view }) => view.shape)).toEqual([shape, shape]);
      expect(op.inputs.map(({ view }) => view.strides)).toEqual([undefined, strides]);
      expect(merged.report.warnings).toMatchObject([{ code: "transposed-experts", model: "b" }]);
    });

    test("are left as they are where all models have them so", () => {
      const merged = plan(linear("a", "b"), [published("a"), published("b")]);
      expect(merged.op(UP).inputs.map(({ view }) => view.strides)).toEqual([undefined, undefined]);
      expect(merged.warned).toEqual([]);
    });

    /** `down_proj` with as many rows as columns: its shape does not tell. */
    const withSquare = (model: Model): Model => {
      const tensors = [...model.tensors].map(([name, view]) =>
        name.endsWith("experts.down_proj")
          ? ([name, { ...view, shape: [4, 32, 32] }] as const)
          : ([name, view] as const),
      );
      return { ...model, tensors: new Map(tensors) };
    };

    test("take square ones with them", () => {
      const down = UP.replace("gate_up", "down");
      const merged = plan(linear("a", "b"), [withSquare(usual("a")), withSquare(published("b"))]);
      expect(merged.op(down).inputs.map(({ view }) => view.strides)).toEqual([undefined, [1024, 1, 32]]);
      const same = plan(linear("a", "b"), [withSquare(usual("a")), withSquare(usual("b"))]);
      expect(same.op(down).inputs.map(({ view }) => view.strides)).toEqual([undefined, undefined]);
    });

    test("in part only are refused", () => {
      const odd = published("b");
      const tensors = new Map(odd.tensors).set(UP, usual("b").tensors.get(UP) as TensorView);
      expect(problems(linear("a", "b"), [usual("a"), { ...odd, tensors }])[0]).toMatchObject({
        code: "shape-mismatch",
        hint: expect.stringContaining("transposed"),
      });
    });
  });
});

describe("a projection fused in one tensor", () => {
  const llama = (name: string) => recordedAs(name, "llama-untied");
  const phi3 = (name: string) => recordedAs(name, "phi3-untied");
  const QKV = "model.layers.0.self_attn.qkv_proj.weight";

  test("is taken apart where the output's class wants its parts", () => {
    const fused = phi3("b");
    const merged = plan(linear("a", "b"), [llama("a"), fused], { allowCrimes: true });
    const at = (name: string) => merged.op(`model.layers.0.self_attn.${name}_proj.weight`).inputs[1]?.view;
    const begin = start(fused, QKV);
    expect(at("q")).toMatchObject({ shape: [32, 32], offset: begin });
    expect(at("k")).toMatchObject({ shape: [16, 32], offset: begin + 4 * 32 * 32 });
    expect(at("v")).toMatchObject({ shape: [16, 32], offset: begin + 4 * 48 * 32 });
    expect(merged.op("model.layers.0.mlp.up_proj.weight").inputs[1]?.tensor).toContain("gate_up_proj");
    expect(merged.warned).toEqual([]);
  });

  test("is not put together: a warning says which model must come first, and the fused ones are copied", () => {
    const merged = plan(linear("b", "a"), [llama("a"), phi3("b")], { allowCrimes: true });
    expect(merged.op(QKV).inputs.map(({ model }) => model)).toEqual(["b"]);
    expect(merged.op("model.layers.0.self_attn.o_proj.weight").inputs).toHaveLength(2);
    expect(merged.report.warnings).toMatchObject([
      { code: "packed-weights", model: "b", hint: expect.stringContaining("name a as base_model") },
      { code: "copied-weights", model: "b" },
    ]);
  });

  test("stays fused where all models are of its family", () => {
    expect(plan(linear("a", "b"), [phi3("a"), phi3("b")]).op(QKV).inputs).toHaveLength(2);
  });
});
