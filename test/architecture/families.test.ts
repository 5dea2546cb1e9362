import { describe, expect, test } from "bun:test";
import { expandArchitecture } from "../../src/architecture/expand.ts";
import { BUILT_IN } from "../../src/architecture/registry.ts";
import { resolveWeight, unknownTensors, weightSpecs } from "../../src/architecture/resolve.ts";
import type { Architecture } from "../../src/architecture/types.ts";
import { Report } from "../../src/errors.ts";
import type { Model } from "../../src/model/types.ts";
import { type Recorded, recorded, recordedModel, recordings } from "./recorded.ts";
import { storedModel } from "./stored-model.ts";

function expanded(model: Model): Architecture {
  const report = new Report();
  const architecture = expandArchitecture(model, report);
  expect(report).toEqual(new Report());
  if (architecture === undefined) throw new Error("no architecture");
  return architecture;
}

/** What config.json says, wherever a model of several parts says it. */
function textValue({ config }: Recorded, key: string): unknown {
  return config[key] ?? (config.text_config as Record<string, unknown> | undefined)?.[key];
}

describe.each(recordings)("$name, as its class writes it", (record) => {
  const { family, tied, shapes, optional } = record;
  const model = recordedModel(record);
  const architecture = expanded(model);
  const specs = weightSpecs(architecture);
  const found = specs.map((spec) => [spec, resolveWeight(spec, model, architecture)] as const);
  const hasShapes = ![...shapes.values()].includes(undefined);

  test("resolves with nothing missing and nothing left over, ties as recorded", () => {
    const wanted = [...[...shapes.keys()].map((name) => [name, "own", name]), ...Object.entries(tied).map(viaTie)];
    const resolved = found
      .filter(([spec, resolution]) => !(spec.optional && resolution === undefined))
      // Of families without a class to ask, nobody recorded what is tied to what.
      .filter(([, resolution]) => hasShapes || resolution?.via !== "tie")
      .map(([{ name }, resolution]) => [name, resolution?.via, resolution?.name]);
    expect(resolved.sort()).toEqual(wanted.sort());
    expect(unknownTensors(model, architecture)).toEqual([]);
    expect(architecture.family).toBe(family);
  });

  test("takes what may be absent for optional, or for tied", () => {
    for (const name of optional) {
      const spec = specs.find((one) => one.name === name);
      expect(spec?.optional === true || spec?.tie !== undefined).toBe(true);
    }
  });

  test("marks as embeddings and heads what has a row per token", () => {
    const rows = textValue(record, "vocab_size") as number;
    for (const [spec, resolution] of found) {
      if (spec.role === undefined || resolution === undefined || !hasShapes) continue;
      expect([spec.name, resolution.view.shape[0]]).toEqual([spec.name, rows]);
    }
    const tiedNames = Object.keys(tied);
    expect(specs.filter(({ name, role }) => role === undefined && tiedNames.includes(name))).toEqual([]);
  });

  test("puts each weight into the layer that it says", () => {
    for (const { layers } of architecture.modules) {
      for (const [index, layer] of layers.entries()) {
        expect(layer.length).toBeGreaterThan(0);
        expect(layer.filter((spec) => spec.layer !== index)).toEqual([]);
      }
    }
    expect(new Set(specs.map(({ name }) => name)).size).toBe(specs.length);
  });

  test("tells weights apart by keys that all layers share", () => {
    for (const { before, layers, after } of architecture.modules) {
      for (const part of [before, ...layers, after]) {
        expect(new Set(part.map(({ key }) => key)).size).toBe(part.length);
        expect(part.filter(({ key }) => key === "" || key.includes("${"))).toEqual([]);
      }
    }
  });

  test("says whether config.json ties the head", () => {
    const tie = textValue(record, "tie_word_embeddings");
    if (typeof tie === "boolean") expect(architecture.tied).toBe(tie);
  });
});

test("every family has a recording, but one whose vision tower is another library's", () => {
  const families = new Set(recordings.map(({ family }) => family));
  expect(BUILT_IN.names.filter((family) => !families.has(family))).toEqual(["gemma3n"]);
});

test("the text decoder of Gemma 3n resolves, and all else goes by name", () => {
  const { config, shapes } = recorded("gemma3n-text-tied-prefixed");
  const whole = { architectures: ["Gemma3nForConditionalGeneration"], model_type: "gemma3n", text_config: config };
  const names = [...shapes.keys(), "model.vision_tower.timm_model.conv_stem.bn.weight", "model.audio_tower.norm"];
  const model = storedModel(whole, [...names, "model.other"]);
  const architecture = expanded(model);
  expect(architecture.modules.map(({ name, family }) => [name, family])).toEqual([["text_decoder", "gemma3n_text"]]);
  expect(unknownTensors(model, architecture)).toEqual(names.slice(-2).concat("model.other"));
  expect(architecture.byName).toContain("model.vision_tower.*");
});

test("lists with an entry per layer are known", () => {
  const perLayer = (name: string) => expanded(recordedModel(recorded(name))).keys.perLayer;
  expect(perLayer("qwen2-tied")).toEqual({ default: ["layer_types"] });
  expect(perLayer("llama4-text-tied")).toEqual({ default: ["layer_types", "no_rope_layers"] });
  expect(perLayer("qwen2_5_vl-tied").text_decoder).toEqual(["text_config.layer_types"]);
  const { config, shapes } = recorded("qwen2-tied");
  const short = recordedModel({ config: { ...config, layer_types: ["full_attention"] }, shapes });
  expect(expanded(short).keys.perLayer).toEqual({ default: [] });
});

describe("config.json files as older versions wrote them", () => {
  const old: [string, string[], Record<string, unknown>?][] = [
    ["llama4-text-tied", ["moe_layers"]],
    ["lfm2-tied", ["layer_types"], { full_attn_idxs: [1] }],
    ["qwen3_next-tied", ["layer_types"], { full_attention_interval: 4 }],
    ["minimax-tied", ["layer_types"], { attn_type_list: [1, 0] }],
    ["qwen3_moe-tied", ["num_local_experts"], { num_experts: 4 }],
    ["granitemoehybrid-dense-tied", ["layer_types"], { layer_types: ["mamba", "attention", "mamba"] }],
    ["ernie4_5_moe-tied-v5names", ["moe_layer_end_index"], { moe_layer_end_index: -1 }],
    ["distilbert-model", ["is_encoder_decoder"]],
    ["t5-gated", ["is_gated_act"]],
  ];
  test.each(old.map(([name, left, added]) => ({ name, left, added })))(
    "$name without $left",
    ({ name, left, added }) => {
      const { config, shapes, tied } = recorded(name);
      const kept = Object.entries(config).filter(([key]) => !left.includes(key));
      const model = recordedModel({ config: { ...Object.fromEntries(kept), ...added }, shapes });
      const architecture = expanded(model);
      const missing = weightSpecs(architecture).filter(
        (spec) => resolveWeight(spec, model, architecture) === undefined,
      );
      expect(missing.filter(({ optional }) => !optional)).toEqual([]);
      expect(unknownTensors(model, architecture)).toEqual([]);
      expect(weightSpecs(architecture).length - missing.length).toBe(shapes.size + Object.keys(tied).length);
    },
  );

  test("a Qwen2-VL whose text settings stand at the top", () => {
    const { config, shapes } = recorded("qwen2_vl-untied");
    const { text_config: text, ...rest } = config;
    const model = recordedModel({ config: { ...(text as object), ...rest }, shapes });
    const architecture = expanded(model);
    expect(unknownTensors(model, architecture)).toEqual([]);
    expect(architecture.keys.layerCount.text_decoder).toBe("num_hidden_layers");
    expect(architecture.keys.vocabSize).toBe("vocab_size");
  });
});

test("where config.json does not say whether the head is tied, the class's default holds", () => {
  const untied = ["llama", "mistral", "qwen2", "qwen3", "phi3", "mixtral", "stablelm", "llava"];
  const tied = ["gemma", "gemma2", "gemma3", "gpt2", "cohere", "falcon", "mamba", "t5", "bert", "opt"];
  const defaults = (family: string) => BUILT_IN.load(family).config.defaults.tie_word_embeddings;
  expect(untied.map(defaults)).toEqual(untied.map(() => false));
  expect(tied.map(defaults)).toEqual(tied.map(() => true));
});

test("old buffers are known", () => {
  const llama = recorded("llama-untied");
  const old = storedModel(llama.config, ["model.layers.0.self_attn.rotary_emb.inv_freq"]);
  expect(unknownTensors(old, expanded(old))).toEqual([]);
  const gpt2 = recorded("gpt2-noprefix-tied");
  const masks = storedModel(gpt2.config, ["h.0.attn.bias", "h.1.attn.masked_bias", "h.0.attn.c_attn.bias", "h.0.bias"]);
  expect(unknownTensors(masks, expanded(masks))).toEqual(["h.0.bias"]);
  expect(weightSpecs(expanded(masks)).find(({ name }) => name === "h.0.attn.bias")?.buffer).toBe(true);
});

test("a GPT-2 without the usual prefix keeps its own names, and has the same keys as one that has it", () => {
  const bare = expanded(recordedModel(recorded("gpt2-noprefix-tied")));
  const usual = expanded(recordedModel(recorded("gpt2-lm-tied")));
  expect(weightSpecs(bare)[0]?.name).toBe("wte.weight");
  expect(weightSpecs(usual)[0]?.name).toBe("transformer.wte.weight");
  expect(weightSpecs(bare).map(({ key }) => key)).toEqual(weightSpecs(usual).map(({ key }) => key));
});

test("a GPT-2 with cross-attention has the weights for it", () => {
  const { config, shapes } = recorded("gpt2-lm-tied");
  const model = recordedModel({ config: { ...config, add_cross_attention: true }, shapes });
  const architecture = expanded(model);
  const missing = weightSpecs(architecture).filter((spec) => resolveWeight(spec, model, architecture) === undefined);
  expect(missing.filter(({ layer, buffer }) => layer === 0 && buffer !== true).map(({ name }) => name)).toEqual(
    ["crossattention.c_attn", "crossattention.q_attn", "crossattention.c_proj", "ln_cross_attn"].flatMap((part) =>
      ["weight", "bias"].map((kind) => `transformer.h.0.${part}.${kind}`),
    ),
  );
});

test("a Phi-1 file counts its layers from 1, and its head comes after them", () => {
  const { config } = recorded("mixformer-sequential");
  const block = ["ln.weight", "ln.bias", "mixer.Wqkv.weight", "mixer.Wqkv.bias", "mixer.out_proj.weight"].concat([
    "mixer.out_proj.bias",
    "mlp.fc1.weight",
    "mlp.fc1.bias",
    "mlp.fc2.weight",
    "mlp.fc2.bias",
  ]);
  const head = ["ln.weight", "ln.bias", "linear.weight", "linear.bias"].map((part) => `layers.3.${part}`);
  const blocks = [1, 2].flatMap((layer) => block.map((part) => `layers.${layer}.${part}`));
  const model = storedModel(config, ["layers.0.wte.weight", ...blocks, ...head]);
  const architecture = expanded(model);
  const names = weightSpecs(architecture)
    .filter(({ optional }) => !optional)
    .map(({ name }) => name);
  expect(names.sort()).toEqual([...model.tensors.keys()].sort());
});

function viaTie([name, target]: [string, string]): [string, string, string] {
  return [name, "tie", target];
}
