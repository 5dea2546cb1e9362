import { describe, expect, test } from "bun:test";
import { plan, problems } from "./models.ts";
import { recordedAs } from "./recorded-models.ts";

const read = (op: { inputs: readonly { model: string; tensor: string }[] }) =>
  op.inputs.map(({ model, tensor }) => `${model} ${tensor}`);
const models = (...names: string[]) => `[${names.map((name) => `{model: ${name}}`).join(", ")}]`;
const linear = (...names: string[]) =>
  `merge_method: linear\nmodels: ${models(...names)}\nparameters: {weight: 0.5, normalize: false}`;

const gemma = (name: string, record = "gemma3-conditional-nohead-tied-prefixed") => recordedAs(name, record);
const TEXT = "language_model.model.layers.0.mlp.up_proj.weight";
const TOWER = "vision_tower.vision_model.encoder.layers.1.mlp.fc1.weight";
const PROJECTOR = "multi_modal_projector.mm_input_projection_weight";

describe("a vision-language model", () => {
  test("is merged whole by one list of models", () => {
    const merged = plan(linear("a", "b"), [gemma("a"), gemma("b")]);
    for (const tensor of [TEXT, TOWER, PROJECTOR])
      expect(read(merged.op(tensor))).toEqual([`a ${tensor}`, `b ${tensor}`]);
    expect(merged.plan.tied.map(({ tensor }) => tensor)).toEqual(["language_model.lm_head.weight"]);
    expect(merged.warned).toEqual([]);
  });

  test("merges with one whose names have other prefixes, under the first's", () => {
    const merged = plan(linear("a", "b"), [gemma("a"), gemma("b", "gemma3-conditional-tied-v5names")]);
    expect(read(merged.op(TEXT))[1]).toBe("b model.language_model.layers.0.mlp.up_proj.weight");
    expect(read(merged.op(TOWER))[1]).toBe("b model.vision_tower.encoder.layers.1.mlp.fc1.weight");
  });

  const modular = (body: string) => `merge_method: linear\nparameters: {weight: 1}\nmodules:\n${body}`;

  test("can be merged module by module, each of its own models", () => {
    const text = "  text_decoder: {models: [{model: a}, {model: b}]}";
    const tower = "  vision_tower: {models: [{model: b}]}\n  multi_modal_projector: {models: [{model: a}]}";
    const merged = plan(modular(`${text}\n${tower}`), [gemma("a"), gemma("b")]);
    expect(read(merged.op(TEXT))).toEqual([`a ${TEXT}`, `b ${TEXT}`]);
    expect(read(merged.op(TOWER))).toEqual([`b ${TOWER}`]);
    expect(read(merged.op(PROJECTOR))).toEqual([`a ${PROJECTOR}`]);
    expect(merged.warned).toEqual([]);
  });

  test("takes modules that the configuration does not name from the first model, and says so", () => {
    const merged = plan(modular("  text_decoder: {models: [{model: b}, {model: a}]}"), [gemma("a"), gemma("b")]);
    expect(read(merged.op(TOWER))).toEqual([`b ${TOWER}`]);
    expect(merged.report.warnings).toMatchObject([
      {
        code: "copied-module",
        message: "multi_modal_projector, vision_tower: copied from b, because the configuration does not name it",
      },
    ]);
  });

  test("can have its text layers stacked, and config.json follows", () => {
    const slice = (name: string) => `      - {sources: [{model: ${name}, layer_range: [0, 2]}]}`;
    const body = `  text_decoder:\n    slices:\n${slice("a")}\n${slice("b")}`;
    const merged = plan(modular(body).replace("linear", "passthrough"), [gemma("a"), gemma("b")]);
    const text = merged.config.text_config as Record<string, unknown>;
    expect(text.num_hidden_layers).toBe(4);
    expect(text.layer_types).toHaveLength(4);
    expect((merged.config.vision_config as Record<string, unknown>).num_hidden_layers).toBe(2);
    expect(read(merged.op(TEXT.replace("layers.0", "layers.2")))).toEqual([`b ${TEXT}`]);
  });

  test("needs modules where layers are picked", () => {
    const slices = "merge_method: passthrough\nslices:\n  - sources: [{model: a, layer_range: [0, 2]}]";
    expect(problems(slices, [gemma("a")])).toMatchObject([{ code: "needs-modules" }]);
  });
});

describe("a text model and a vision-language model that is made of its like", () => {
  const vision = (name: string) => recordedAs(name, "qwen2_5_vl-untied");
  const text = (name: string) => recordedAs(name, "qwen2-untied");
  const UP = "model.layers.1.mlp.up_proj.weight";
  const EYE = "visual.blocks.0.mlp.up_proj.weight";

  test.each([
    ["first", ["v", "t"]],
    ["last", ["t", "v"]],
  ])("merge, whichever comes %s: what only one has is copied from it", (_, order) => {
    const merged = plan(linear(...order), [vision("v"), text("t")]);
    expect(read(merged.op(UP))).toEqual(order.map((name) => `${name} ${UP}`));
    expect(read(merged.op("lm_head.weight"))).toEqual(order.map((name) => `${name} lm_head.weight`));
    expect(read(merged.op(EYE))).toEqual([`v ${EYE}`]);
    expect(merged.op(EYE).kernel).toBe("copy");
    expect(merged.config.model_type).toBe("qwen2_5_vl");
  });

  test("merge by task vectors from a text base, and the vision tower is copied", () => {
    const ties = `merge_method: ties\nbase_model: t\nmodels: ${models("v", "u")}\nparameters: {weight: 1, density: 0.5}`;
    const merged = plan(ties, [text("t"), vision("v"), text("u")]);
    expect(read(merged.op(UP))).toEqual([`t ${UP}`, `v ${UP}`, `u ${UP}`]);
    expect(read(merged.op(EYE))).toEqual([`v ${EYE}`]);
    expect(merged.op(EYE).kernel).toBe("copy");
    expect(merged.config.architectures).toEqual(["Qwen2_5_VLForConditionalGeneration"]);
    expect(merged.warned).toEqual(["larger-donor", "copied-module"]);
  });

  test("of another family are refused", () => {
    expect(problems(linear("v", "l"), [vision("v"), recordedAs("l", "llama-untied")])).toMatchObject([
      { code: "different-architectures" },
    ]);
  });
});

test("an encoder and decoder share one embedding, which is stored once", () => {
  const merged = plan(linear("a", "b"), [recordedAs("a", "t5-v1_1-untied"), recordedAs("b", "t5-v1_1-untied")]);
  expect(merged.plan.ops.filter(({ tensor }) => /shared|embed_tokens/.test(tensor))).toHaveLength(1);
  expect(merged.plan.tied.map(({ tensor }) => tensor)).toEqual([
    "decoder.embed_tokens.weight",
    "encoder.embed_tokens.weight",
  ]);
  expect(read(merged.op("lm_head.weight"))).toEqual(["a lm_head.weight", "b lm_head.weight"]);
  expect(merged.config.tie_word_embeddings).toBe(false);
});
