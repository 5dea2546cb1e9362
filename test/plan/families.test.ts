import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plan, problems } from "./models.ts";
import { recordedAs } from "./recorded-models.ts";

const root = mkdtempSync(join(tmpdir(), "sinter-plan-families-"));
afterAll(() => rmSync(root, { recursive: true }));

const linear = "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}";
const stack = `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [1, 2]}]
`;
const read = (op: { inputs: readonly { model: string; tensor: string }[] }) =>
  op.inputs.map(({ model, tensor }) => `${model} ${tensor}`);

describe("models that no family describes", () => {
  const unheard = { architectures: ["UnheardForCausalLM"], model_type: "unheard" };
  const model = (name: string, record = "llama-untied") => recordedAs(name, record, unheard);

  test("are merged as their tensors' names suggest, with one warning", () => {
    const merged = plan(linear, [model("a"), model("b")]);
    expect(read(merged.op("lm_head.weight"))).toEqual(["a lm_head.weight", "b lm_head.weight"]);
    expect(merged.warned).toEqual(["inferred-family"]);
    expect(merged.plan.ops).toHaveLength(21);
  });

  test("can have their layers stacked: config.json follows", () => {
    const merged = plan(stack, [model("a"), model("b")]);
    expect(merged.config.num_hidden_layers).toBe(3);
    const up = (layer: number) => `model.layers.${layer}.mlp.up_proj.weight`;
    expect(read(merged.op(up(2)))).toEqual([`b ${up(1)}`]);
  });

  test("of which some are tied share a head where all do, else each gives its own or its embedding", () => {
    const tied = recordedAs("b", "llama-tied", unheard);
    const merged = plan(linear, [model("a"), tied]);
    expect(read(merged.op("lm_head.weight"))).toEqual(["a lm_head.weight", "b model.embed_tokens.weight"]);
    expect(merged.config.tie_word_embeddings).toBe(false);
    const both = plan(linear, [{ ...tied, name: "a" }, tied]);
    expect(both.plan.tied).toEqual([{ tensor: "lm_head.weight", follows: "model.embed_tokens.weight" }]);
  });

  test("of different classes are refused, like any", () => {
    const other = recordedAs("b", "llama-untied", { architectures: ["OtherForCausalLM"], model_type: "other" });
    expect(problems(linear, [model("a"), other])).toMatchObject([{ code: "different-architectures" }]);
  });
});

describe("definitions of the user's", () => {
  const path = join(root, "qwen2.json");
  const weights = (names: string[]) => names.map((name) => ({ name }));
  const mergekit = {
    model_type: "qwen2",
    architectures: ["Qwen2ForCausalLM"],
    pre_weights: [{ name: "model.embed_tokens.weight", is_embed: true }],
    layer_templates: { weights: weights([`model.layers.\${layer_index}.mlp.up_proj.weight`]) },
    post_weights: [{ name: "lm_head.weight", is_embed: true, aliases: ["model.embed_tokens.weight"] }],
  };

  test("decide what is merged: the head that is an alias is merged with heads, and stored where one model has one", () => {
    writeFileSync(path, JSON.stringify(mergekit));
    const options = { architectures: path };
    const tied = recordedAs("a", "qwen2-tied");
    const merged = plan(linear, [tied, recordedAs("b", "qwen2-untied")], options);
    expect(read(merged.op("lm_head.weight"))).toEqual(["a model.embed_tokens.weight", "b lm_head.weight"]);
    expect(merged.report.warnings.map(({ message }) => message)).toContainEqual(
      expect.stringContaining("tensors that qwen2 does not have are carried along: model.layers.0.input_layernorm"),
    );
    const both = plan(linear, [tied, { ...tied, name: "b" }], options);
    expect(both.plan.tied).toEqual([{ tensor: "lm_head.weight", follows: "model.embed_tokens.weight" }]);
  });

  test("that are wrong are an error that names the file", () => {
    writeFileSync(path, JSON.stringify({ ...mergekit, pre_weights: "none" }));
    const models = [recordedAs("a", "qwen2-tied"), recordedAs("b", "qwen2-tied")];
    expect(problems(linear, models, { architectures: path })).toMatchObject([
      { code: "invalid-definition", message: "pre_weights must be a list", path },
    ]);
  });

  test("may force a dtype on a weight", () => {
    const [norm] = weights(["model.norm.weight"]);
    const forced = { ...mergekit, post_weights: [{ ...norm, force_dtype: "float32" }, ...mergekit.post_weights] };
    writeFileSync(path, JSON.stringify(forced));
    const models = [recordedAs("a", "qwen2-tied"), recordedAs("b", "qwen2-tied")];
    const merged = plan(`${linear}\ndtype: bfloat16`, models, { architectures: path });
    expect(merged.op("model.norm.weight").dtype).toBe("F32");
    expect(merged.op("model.embed_tokens.weight").dtype).toBe("BF16");
  });
});

describe("layers of experts and without", () => {
  test("keep config.json's list of those without, wherever they go", () => {
    const slices = `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [1, 2]}]
  - sources: [{model: b, layer_range: [0, 2]}]
`;
    const merged = plan(slices, [recordedAs("a", "qwen3_moe-mixed-tied"), recordedAs("b", "qwen3_moe-mixed-tied")]);
    expect(merged.config.mlp_only_layers).toEqual([1]);
    expect(read(merged.op("model.layers.1.mlp.up_proj.weight"))).toEqual(["b model.layers.0.mlp.up_proj.weight"]);
    expect(merged.op("model.layers.0.mlp.experts.3.up_proj.weight").inputs[0]?.model).toBe("a");
  });
});
