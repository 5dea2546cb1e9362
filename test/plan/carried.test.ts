import { describe, expect, test } from "bun:test";
import { plan, tinyModel } from "./models.ts";
import { recordedAs } from "./recorded-models.ts";

const average = "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 0.25, normalize: false}";
const read = (op: { inputs: readonly { model: string; tensor: string }[] }) =>
  op.inputs.map(({ model, tensor }) => `${model} ${tensor}`);
const extra = (shape: number[] = [2]) => ({ tensors: { "mtp.0.proj": { dtype: "BF16", shape } } }) as const;

describe("tensors that the family does not have", () => {
  test("are merged by name where every model has them, with a note", () => {
    const merged = plan(average, [tinyModel("a", extra()), tinyModel("b", extra())]);
    expect(read(merged.op("mtp.0.proj"))).toEqual(["a mtp.0.proj", "b mtp.0.proj"]);
    expect(merged.op("mtp.0.proj").kernel).toBe("linear");
    expect(merged.report.warnings).toMatchObject([{ code: "unknown-tensors", model: "a" }]);
    expect(merged.report.warnings[0]?.message).toBe("tensors that llama does not have are carried along: mtp.0.proj");
  });

  test("are copied, whatever the weights say, where one model lacks them or has another shape", () => {
    const lacking = plan(average, [tinyModel("a"), tinyModel("b", extra())]);
    expect(read(lacking.op("mtp.0.proj"))).toEqual(["b mtp.0.proj"]);
    expect(lacking.op("mtp.0.proj").kernel).toBe("copy");
    const other = plan(average, [tinyModel("a", extra([3])), tinyModel("b", extra())]);
    expect(read(other.op("mtp.0.proj"))).toEqual(["a mtp.0.proj"]);
  });

  test("and that only its class computes are copied without a note", () => {
    const name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    const old = { tensors: { [name]: { dtype: "F32", shape: [2] } } } as const;
    const qwen = { ...old, class: "Qwen2ForCausalLM" } as const;
    const merged = plan(average, [tinyModel("a", qwen), tinyModel("b", qwen)]);
    expect(read(merged.op(name))).toEqual([`a ${name}`]);
    expect(merged.op(name).kernel).toBe("copy");
    expect(merged.warned).toEqual([]);
  });

  test("come from the base before any other", () => {
    const ties = "merge_method: ties\nbase_model: base\nmodels: [{model: a}]\nparameters: {weight: 1}";
    const merged = plan(ties, [tinyModel("a", extra([3])), tinyModel("base", extra())]);
    expect(read(merged.op("mtp.0.proj"))).toEqual(["base mtp.0.proj"]);
  });

  test("with a layer's number are left out where layers are stacked, the others are not", () => {
    const stack = ["a", "b"].map((name) => `  - sources: [{model: ${name}, layer_range: [0, 2]}]`).join("\n");
    const tensors = { ...extra().tensors, other: { dtype: "BF16", shape: [1] } } as const;
    const merged = plan(`merge_method: passthrough\nslices:\n${stack}`, [tinyModel("a", { tensors }), tinyModel("b")]);
    expect(merged.plan.ops.map(({ tensor }) => tensor)).not.toContain("mtp.0.proj");
    expect(read(merged.op("other"))).toEqual(["a other"]);
    expect(merged.report.warnings.map(({ message }) => message)).toEqual([
      "tensors that llama does not have are left out, because layers are stacked: mtp.0.proj",
      "tensors that llama does not have are carried along: other",
    ]);
  });

  test("go without a note where the family says that they belong to it", () => {
    const part = (name: string) =>
      recordedAs(name, "gemma3n-text-tied-prefixed", {
        architectures: ["Gemma3nForConditionalGeneration"],
        model_type: "gemma3n",
        text_config: recordedAs("x", "gemma3n-text-tied-prefixed").config,
      });
    const tower = "model.vision_tower.timm_model.blocks.0.conv.weight";
    const withTower = (name: string) => {
      const model = part(name);
      const view = { file: `/models/${name}/model.safetensors`, offset: 0, dtype: "F32", shape: [2, 2] } as const;
      return { ...model, tensors: new Map([...model.tensors, [tower, view]]) };
    };
    const merged = plan(average, [withTower("a"), withTower("b")]);
    expect(read(merged.op(tower))).toEqual([`a ${tower}`, `b ${tower}`]);
    expect(merged.warned).toEqual([]);
  });
});

describe("old buffers", () => {
  const frequencies = "model.layers.0.self_attn.rotary_emb.inv_freq";
  const buffer = { tensors: { [frequencies]: { dtype: "F32", shape: [2] } } } as const;

  test("are copied as they are, never merged and without a note", () => {
    const merged = plan(`${average}\ndtype: bfloat16`, [tinyModel("a", buffer), tinyModel("b", buffer)]);
    expect(merged.op(frequencies)).toMatchObject({ dtype: "F32", kernel: "copy" });
    expect(read(merged.op(frequencies))).toEqual([`a ${frequencies}`]);
    expect(merged.warned).toEqual([]);
  });

  test("follow the layers that are stacked", () => {
    const stack = ["a", "b"].map((name) => `  - sources: [{model: ${name}, layer_range: [0, 1]}]`).join("\n");
    const models = [tinyModel("a"), tinyModel("b", buffer)];
    const merged = plan(`merge_method: passthrough\nslices:\n${stack}`, models);
    expect(read(merged.op(frequencies.replace(".0.", ".1.")))).toEqual([`b ${frequencies}`]);
  });
});

test("an optional weight that only some models have is copied, with a warning", () => {
  const probe = "head.probe";
  const models = [
    recordedAs("a", "siglip-vision-prefixed", {}, (name) => (name.includes(probe) ? undefined : name)),
    recordedAs("b", "siglip-vision-prefixed"),
  ];
  const merged = plan(average, models);
  expect(read(merged.op(`vision_model.${probe}`))).toEqual([`b vision_model.${probe}`]);
  expect(merged.report.warnings).toMatchObject([{ code: "copied-weights", model: "b" }]);
});

test("with --allow-crimes, a weight in different shapes is copied from the base, else from the first", () => {
  const odd = { tensors: { "model.norm.weight": { dtype: "BF16", shape: [5] } } } as const;
  const merged = plan(average, [tinyModel("a"), tinyModel("b", odd)], { allowCrimes: true });
  expect(read(merged.op("model.norm.weight"))).toEqual(["a model.norm.weight"]);
  const based = `${average}\nbase_model: b`;
  expect(
    read(plan(based, [tinyModel("a"), tinyModel("b", odd)], { allowCrimes: true }).op("model.norm.weight")),
  ).toEqual(["b model.norm.weight"]);
});
