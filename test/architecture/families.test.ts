import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expandArchitecture } from "../../src/architecture/expand.ts";
import { FAMILIES, familyNames } from "../../src/architecture/registry.ts";
import { resolveWeight, unknownTensors, weightSpecs } from "../../src/architecture/resolve.ts";
import type { Architecture } from "../../src/architecture/types.ts";
import { Report } from "../../src/errors.ts";
import type { Model } from "../../src/model/types.ts";
import { storedModel } from "./stored-model.ts";

/** What the real model class wrote: config.json, the shapes of the tensors on disk, and what is tied to which of them. */
interface Recorded {
  config: Record<string, unknown>;
  tied: Record<string, string>;
  shapes: Record<string, number[]>;
}

const folder = join(import.meta.dir, "recorded");
const names = readdirSync(folder).map((file) => file.replace(/\.json$/, ""));

function recorded(name: string): Recorded {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")) as Recorded;
}

function expanded(model: Model): Architecture {
  const report = new Report();
  const architecture = expandArchitecture(model, report);
  expect(report).toEqual(new Report());
  if (architecture === undefined) throw new Error("no architecture");
  return architecture;
}

function layerCount(config: Recorded["config"]): number {
  return (config.num_hidden_layers ?? config.n_layer) as number;
}

describe.each(names)("%s, as its class writes it", (name) => {
  const { config, tied, shapes } = recorded(name);
  const model = storedModel(config, Object.keys(shapes));
  const architecture = expanded(model);
  const specs = weightSpecs(architecture);

  test("resolves with nothing missing and nothing left over, ties as recorded", () => {
    const found = specs.map((spec) => [spec.name, resolveWeight(spec, model, architecture)] as const);
    const expected = [...Object.keys(shapes).map((own) => [own, "own", own]), ...Object.entries(tied).map(viaTie)];
    expect(found.map(([own, resolution]) => [own, resolution?.via, resolution?.name]).sort()).toEqual(expected.sort());
    expect(unknownTensors(model, architecture)).toEqual([]);
  });

  test("marks as embeddings and heads what has a row per token", () => {
    const roles = specs.filter(({ role }) => role !== undefined).map((spec) => [spec.name, spec.role]);
    const rows = (own: string) => shapes[tied[own] ?? own]?.[0];
    expect(roles.map(([own]) => rows(own ?? ""))).toEqual(roles.map(() => config.vocab_size as number));
    const hasHead = /LMHeadModel|ForCausalLM/.test(String(config.architectures));
    expect(roles.map(([, role]) => role)).toEqual(hasHead ? ["embedding", "head"] : ["embedding"]);
  });

  test("puts each weight into the layer whose number its name has", () => {
    const { before, layers, after } = architecture.modules[0] as Architecture["modules"][0];
    expect(architecture.modules).toHaveLength(1);
    expect(layers).toHaveLength(layerCount(config));
    for (const [index, layer] of layers.entries()) {
      for (const spec of layer) {
        expect(spec.layer).toBe(index);
        expect(spec.name).toMatch(new RegExp(`(^|\\.)(layers|h)\\.${index}\\.`));
      }
    }
    expect([...before, ...after].filter((spec) => spec.layer !== undefined || /\.\d+\./.test(spec.name))).toEqual([]);
  });

  test("says whether config.json ties the head", () => {
    expect(architecture.tied).toBe(config.tie_word_embeddings === true);
    expect(architecture.keys.tie).toBe("tie_word_embeddings");
  });
});

test("every family has a recording", () => {
  expect(familyNames.filter((family) => !names.some((name) => name.startsWith(`${family}-`)))).toEqual([]);
});

test("layer_types is known as a list with an entry per layer", () => {
  const { config, shapes } = recorded("qwen2-tied");
  expect(expanded(storedModel(config, Object.keys(shapes))).keys.perLayer).toEqual(["layer_types"]);
  expect(expanded(storedModel({ ...config, layer_types: ["full_attention"] }, [])).keys.perLayer).toEqual([]);
});

test("where config.json does not say whether the head is tied, the class's default holds", () => {
  const tiedByDefault = familyNames.filter((family) => {
    const { modelTypes, architectures } = FAMILIES[family] as (typeof FAMILIES)[string];
    const config = { model_type: modelTypes[0], architectures: [architectures[0]], num_hidden_layers: 1, n_layer: 1 };
    return expanded(storedModel(config, [])).tied;
  });
  expect(tiedByDefault).toEqual(["gemma2", "gpt2"]);
});

test("old buffers are known, and no weight", () => {
  const llama = recorded("llama-untied");
  const old = storedModel(llama.config, ["model.layers.0.self_attn.rotary_emb.inv_freq"]);
  expect(unknownTensors(old, expanded(old))).toEqual([]);
  const gpt2 = recorded("gpt2-noprefix-tied");
  const masks = storedModel(gpt2.config, ["h.0.attn.bias", "h.1.attn.masked_bias", "h.0.attn.c_attn.bias", "h.0.bias"]);
  expect(unknownTensors(masks, expanded(masks))).toEqual(["h.0.bias"]);
});

test("a GPT-2 without the usual prefix keeps its own names, and is found by one that has it", () => {
  const bare = recorded("gpt2-noprefix-tied");
  const bareModel = storedModel(bare.config, Object.keys(bare.shapes));
  const usual = recorded("gpt2-lm-tied");
  const usualModel = storedModel(usual.config, Object.keys(usual.shapes));
  for (const [from, to] of [
    [bareModel, usualModel],
    [usualModel, bareModel],
  ] as const) {
    const architecture = expanded(from);
    const found = weightSpecs(architecture).map((spec) => resolveWeight(spec, to, architecture));
    expect(found.map((resolution) => resolution?.via)).toEqual(
      weightSpecs(architecture).map(({ role }) => (role === "head" ? "tie" : "alias")),
    );
    expect(unknownTensors(to, architecture)).toEqual([]);
  }
  expect(weightSpecs(expanded(bareModel))[0]?.name).toBe("wte.weight");
});

test("a GPT-2 with cross-attention has the weights for it", () => {
  const { config, shapes } = recorded("gpt2-lm-tied");
  const model = storedModel({ ...config, add_cross_attention: true }, Object.keys(shapes));
  const architecture = expanded(model);
  const missing = weightSpecs(architecture).filter((spec) => resolveWeight(spec, model, architecture) === undefined);
  expect(missing.filter(({ layer }) => layer === 0).map(({ name }) => name)).toEqual(
    ["crossattention.c_attn", "crossattention.q_attn", "crossattention.c_proj", "ln_cross_attn"].flatMap((part) =>
      ["weight", "bias"].map((kind) => `transformer.h.0.${part}.${kind}`),
    ),
  );
});

function viaTie([name, target]: [string, string]): [string, string, string] {
  return [name, "tie", target];
}
