import { describe, expect, test } from "bun:test";
import schema from "../../architectures/schema.json";
import type { FamilyDefinition, ModuleTemplate } from "../../src/architecture/definition.ts";
import { definitionText } from "../../src/architecture/definition-text.ts";
import { expandDefinition } from "../../src/architecture/expand.ts";
import { inferDefinition } from "../../src/architecture/infer.ts";
import { resolveWeight, unknownTensors, weightSpecs } from "../../src/architecture/resolve.ts";
import type { Architecture } from "../../src/architecture/types.ts";
import { findFault, type Schema } from "../../src/architecture/validate.ts";
import { Report } from "../../src/errors.ts";
import type { Model } from "../../src/model/types.ts";
import { recorded, recordedModel, recordings } from "./recorded.ts";
import { storedModel } from "./stored-model.ts";

function expanded(definition: FamilyDefinition, model: Model): Architecture {
  const report = new Report();
  const architecture = expandDefinition("inferred", definition, model, report);
  expect(report).toEqual(new Report());
  return architecture as Architecture;
}

const recordedAs = (name: string) => recordedModel(recorded(name));
const only = (definition: FamilyDefinition) => definition.modules.default as ModuleTemplate;

describe.each(recordings)("what is inferred of $name", (record) => {
  const model = recordedModel(record);
  const definition = inferDefinition([model]);
  const architecture = expanded(definition, model);

  test("has every tensor and no other", () => {
    const specs = weightSpecs(architecture);
    const missing = specs.filter((spec) => resolveWeight(spec, model, architecture) === undefined);
    expect(missing.map(({ name }) => name)).toEqual([]);
    expect(unknownTensors(model, architecture)).toEqual([]);
    expect(new Set(specs.map(({ name }) => name)).size).toBe(specs.length);
  });

  test("fits the format, and survives being written", () => {
    const text = definitionText(definition);
    expect(JSON.parse(text)).toEqual(definition);
    expect(findFault(JSON.parse(text), schema as Schema)).toBeUndefined();
  });

  test("has the layers that config.json counts", () => {
    const { layerCount } = architecture.keys;
    expect(Object.keys(layerCount).length).toBeGreaterThan(0);
  });
});

describe("layers", () => {
  test("are found by their numbers, and config.json's key for their number is", () => {
    expect(only(inferDefinition([recordedAs("llama-untied")])).layer_count).toBe("num_hidden_layers");
    expect(only(inferDefinition([recordedAs("gpt2-lm-tied")])).layer_count).toBe("n_layer");
    const silent = storedModel({ architectures: ["X"] }, ["x.0.a", "x.1.a", "x.2.a"]);
    expect(only(inferDefinition([silent]))).toEqual({ layer_count: 3, layer: ["x.${layer}.a"] });
  });

  test("that come after those that config.json counts are no layers", () => {
    const names = [0, 1, 2].flatMap((layer) => [`model.layers.${layer}.up`, `model.layers.${layer}.down`]);
    const model = storedModel({ num_hidden_layers: 2 }, [...names, "model.layers.2.extra"]);
    const architecture = expanded(inferDefinition([model]), model);
    expect(architecture.modules[0]?.layers).toHaveLength(2);
    expect(architecture.modules[0]?.after.map(({ name }) => name)).toContain("model.layers.2.extra");
  });

  test("that differ do so by config.json's lists and numbers, where these tell them apart", () => {
    const layer = JSON.stringify(only(inferDefinition([recordedAs("lfm2_moe-tied")])).layer);
    expect(layer).toContain('"when":{"layer_types.${layer}":"conv"}');
    expect(layer).toContain('"when":{"layer":{"below":"num_dense_layers"}}');
    expect(layer).toContain('"when":{"layer":{"from":"num_dense_layers"}}');
    const odd = storedModel({ num_hidden_layers: 4 }, ["x.0.a", "x.1.a", "x.2.a", "x.3.a", "x.0.b", "x.2.b"]);
    expect(only(inferDefinition([odd])).layer).toContainEqual({ when: { layer: [0, 2] }, weights: ["x.${layer}.b"] });
  });

  test("hold loops over experts, counted by config.json", () => {
    const module = only(inferDefinition([recordedAs("qwen2_moe-tied")]));
    expect(module.loops).toEqual({ expert: "num_experts" });
    expect(module.layer).toContain("model.layers.${layer}.mlp.experts.${expert}.up_proj.weight");
  });

  test("of a model with more of them go by the same definition", () => {
    const definition = inferDefinition([recordedAs("llama-untied")]);
    const { config, shapes } = recorded("llama-untied");
    const deep = recordedModel({ config: { ...config, num_hidden_layers: 5 }, shapes });
    expect(expanded(definition, deep).modules[0]?.layers).toHaveLength(5);
  });
});

describe("modules", () => {
  const modules = (name: string) => Object.keys(inferDefinition([recordedAs(name)]).modules);

  test("are one where there is one stack of layers, else one for each, and the rest", () => {
    expect(modules("llama-untied")).toEqual(["default"]);
    expect(modules("llava-llama-clip-tied")).toEqual(["vision_tower", "language_model", "other"]);
    expect(modules("t5")).toEqual(["decoder", "encoder", "other"]);
  });

  test("of stacks that have the same words in their names have names of their own", () => {
    const names = ["a.encoder.layers.", "b.encoder.layers."].flatMap((stack) => [`${stack}0.x`, `${stack}1.x`]);
    const model = storedModel({ num_hidden_layers: 2 }, names);
    expect(Object.keys(inferDefinition([model]).modules)).toEqual(["encoder", "b_encoder"]);
  });

  test("bring their own code along where config.json speaks of such", () => {
    const model = storedModel({ auto_map: { AutoModel: "modeling.X" } }, ["x.0.a"]);
    expect(inferDefinition([model]).files).toEqual(["*.py"]);
    expect(inferDefinition([storedModel({}, ["x.0.a"])]).files).toBeUndefined();
  });
});

describe("embeddings, heads and ties", () => {
  const roles = (...models: [Model, ...Model[]]) =>
    weightSpecs(expanded(inferDefinition(models), models[0]))
      .filter(({ role }) => role !== undefined)
      .map(({ name, role, tie }) => [name, role, tie]);

  test("are what has a row per token, by their names", () => {
    expect(roles(recordedAs("llama-untied"))).toEqual([
      ["model.embed_tokens.weight", "embedding", undefined],
      ["lm_head.weight", "head", "model.embed_tokens.weight"],
    ]);
  });

  test.each([
    ["llama-attnbias-mlpbias-tied", "lm_head.weight", "model.embed_tokens.weight"],
    ["gemma3-conditional-nohead-tied", "language_model.lm_head.weight", "language_model.model.embed_tokens.weight"],
    ["gpt2-lm-tied", "lm_head.weight", "transformer.wte.weight"],
  ])("of %s: the head that no file stores is tied", (name, head, embedding) => {
    expect(roles(recordedAs(name))).toContainEqual([head, "head", embedding]);
    const architecture = expanded(inferDefinition([recordedAs(name)]), recordedAs(name));
    expect(architecture.tied).toBe(true);
  });

  test("a model without a class that has a head gets none", () => {
    expect(roles(recordedAs("llama-model")).map(([, role]) => role)).toEqual(["embedding"]);
  });
});

describe("several models of one class", () => {
  const without = (pattern: RegExp) => {
    const model = recordedAs("llama-untied");
    return { ...model, tensors: new Map([...model.tensors].filter(([name]) => !pattern.test(name))) };
  };

  test("are understood together: what one lacks is optional, and a head that one lacks is tied", () => {
    const definition = inferDefinition([without(/lm_head|norm\.weight$/), recordedAs("llama-untied")]);
    const { after = [], layer = [] } = only(definition);
    expect(after).toContainEqual({ name: "model.norm.weight", optional: true });
    expect(after).toContainEqual({ name: "lm_head.weight", role: "head", tie: "model.embed_tokens.weight" });
    expect(layer).toContainEqual({ name: "model.layers.${layer}.input_layernorm.weight", optional: true });
    expect(layer).toContain("model.layers.${layer}.mlp.up_proj.weight");
  });
});

describe("what models store and do not learn", () => {
  const names = [
    "layers.0.k_proj.weight",
    "layers.0.k_proj.input_min",
    "layers.1.k_proj.weight",
    "layers.1.k_proj.input_min",
  ];
  const model = storedModel({ architectures: ["X"] }, [
    ...names,
    "gate.output_max",
    "rotary_emb.inv_freq",
    "output_maximum",
  ]);
  const specs = weightSpecs(expanded(inferDefinition([model]), model));

  test("is copied: bounds of clipping, constants", () => {
    const copied = specs.filter(({ buffer }) => buffer === true).map(({ name }) => name);
    const expected = [
      "gate.output_max",
      "layers.0.k_proj.input_min",
      "layers.1.k_proj.input_min",
      "rotary_emb.inv_freq",
    ];
    expect(copied.sort()).toEqual(expected);
  });

  test("is there all the same", () => {
    expect(specs.length).toBe(model.tensors.size);
  });
});
