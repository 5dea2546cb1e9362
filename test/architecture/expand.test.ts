import { describe, expect, test } from "bun:test";
import type { FamilyDefinition } from "../../src/architecture/definition.ts";
import { type ExpandOptions, expandArchitecture, expandDefinition } from "../../src/architecture/expand.ts";
import { familiesAgree } from "../../src/architecture/modules.ts";
import { weightSpecs } from "../../src/architecture/resolve.ts";
import type { Architecture } from "../../src/architecture/types.ts";
import { Report } from "../../src/errors.ts";
import madeUp from "./made-up.json";
import { storedModel } from "./stored-model.ts";

const definition = madeUp as unknown as FamilyDefinition;
const config = { architectures: ["MadeUpForCausalLM"], text: { layers: 2, vocab_size: 8 } };

function expand(
  changed: Record<string, unknown> = config,
  stored: readonly string[] = [],
  options: ExpandOptions = {},
): Architecture {
  const report = new Report();
  const architecture = expandDefinition("made-up", definition, storedModel(changed, stored), report, options);
  report.throwIfErrors();
  return architecture as Architecture;
}

const withText = (text: object, more: object = {}) => ({ ...config, ...more, text: { layers: 2, ...text } });

function names(architecture: Architecture): string[] {
  return weightSpecs(architecture).map(({ name }) => name);
}

test("brace lists in an alias go along with those of the name", () => {
  const heads = expand().modules[0]?.after.slice(0, 2);
  expect(heads?.map(({ name, aliases }) => [name, aliases])).toEqual([
    ["head.weight", ["output.weight"]],
    ["head.bias", ["output.bias"]],
  ]);
});

describe("a definition", () => {
  test("gives the modules in their order, each with its own number of layers", () => {
    const architecture = expand({ ...config, vision: { depth: 3 } });
    expect(architecture.modules.map(({ name, layers }) => [name, layers.length])).toEqual([
      ["text", 2],
      ["vision", 3],
    ]);
    expect(architecture.keys.layerCount).toEqual({ text: "text.layers", vision: "vision.depth" });
    expect(architecture.keys.vocabSize).toBe("text.vocab_size");
    expect(expand(withText({})).keys.vocabSize).toBe("text.vocab_size");
    expect(expand(withText({}, { vocab_size: 3 })).keys.vocabSize).toBe("vocab_size");
    expect(architecture.modules[1]?.subfolder).toBe("vision");
  });

  test("takes its defaults for what config.json leaves out", () => {
    expect(expand().modules[1]?.layers).toHaveLength(1);
    expect(expand().tied).toBe(true);
    expect(expand(withText({ tie: false })).tied).toBe(false);
  });

  test("has the weights whose conditions hold", () => {
    expect(names(expand())).not.toContain("text.0.q.bias");
    expect(names(expand(withText({ bias: true })))).toContain("text.0.k.bias");
    expect(names(expand({ ...config, architectures: ["MadeUpModel"] }))).not.toContain("head.weight");
  });

  test("counts layers from 1 and names the number of them where it says so", () => {
    expect(names(expand())).toContain("vision/vision.1.weight");
    expect(names(expand())).toContain("end.1");
  });

  test("says what is optional, tied and has a role or a dtype", () => {
    const specs = weightSpecs(expand());
    expect(specs.find(({ name }) => name === "text.1.gate")).toEqual({
      name: "text.1.gate",
      key: "gate",
      aliases: ["model.text.1.gate", "1.gate", "old.1.gate"],
      tie: undefined,
      role: undefined,
      optional: true,
      buffer: undefined,
      dtype: "F32",
      packing: undefined,
      layer: 1,
    });
    expect(specs.find(({ name }) => name === "head.weight")).toMatchObject({ tie: "text.embed.weight", role: "head" });
  });

  test("takes buffers for optional", () => {
    const specs = weightSpecs(expand());
    expect(specs.find(({ name }) => name === "end.inv_freq")).toMatchObject({ buffer: true, optional: true });
  });

  test("finds per-layer lists by declaration, or beside the number of layers, where their length fits", () => {
    const text = { layer_types: ["a", "b"] };
    expect(expand(withText(text, { vision: { depth: 1, windows: [4] } })).keys.perLayer).toEqual({
      text: ["text.layer_types"],
      vision: ["vision.windows"],
    });
    const other = withText({ ...text, layers: 3 }, { vision: { windows: 4 } });
    expect(expand(other).keys.perLayer).toEqual({ text: [], vision: [] });
    expect(expand(other).keys.layerNumbers).toEqual({ text: ["text.dense_layers"], vision: [] });
  });

  test("says what else belongs to the model", () => {
    expect(expand()).toMatchObject({ byName: ["extra.*"], files: ["speech.json"] });
  });
});

describe("the model's own spelling", () => {
  test("of prefixes gives the names, the others are aliases", () => {
    const architecture = expand(config, ["model.text.1.q.scale", "model.text.0.k.weight"]);
    const embedding = architecture.modules[0]?.before[0];
    expect(embedding?.name).toBe("model.text.embed.weight");
    expect(embedding?.aliases).toEqual([
      "text.embed.weight",
      "embed.weight",
      "model.text.shared.weight",
      "text.shared.weight",
      "shared.weight",
    ]);
    expect(architecture.modules[0]?.after[0]?.tie).toBe("model.text.embed.weight");
  });

  test("of prefixes is the usual one where the model stores nothing under any", () => {
    expect(names(expand(config, ["x"]))[0]).toBe("text.embed.weight");
  });

  test("of a weight is the alias that the model stores, in every layer, and ties follow it", () => {
    const architecture = expand(config, ["text.0.q.weight", "old.0.gate", "text.shared.weight", "output.bias"]);
    expect(names(architecture)).toContain("old.1.gate");
    expect(names(architecture)).toContain("output.bias");
    const head = weightSpecs(architecture).find(({ name }) => name === "head.weight");
    expect(head?.tie).toBe("text.shared.weight");
    expect(architecture.modules[0]?.before[0]).toMatchObject({ name: "text.shared.weight", key: "embed.weight" });
  });
});

describe("experts", () => {
  const experts = withText({ experts: 2, down: 2, dense_layers: [0], routed: [2] });

  test("are looped over in the layers that have them, and the others have what stands under else", () => {
    const layers = expand(experts).modules[0]?.layers.map((layer) => layer.slice(5).map(({ key }) => key));
    expect(layers).toEqual([
      ["mlp"],
      [
        ...["experts.0.up", "experts.1.up", "experts.0.down", "experts.1.down", "experts.0.out", "experts.1.out"],
        ...["route.0", "route.1"],
      ],
    ]);
  });

  test("are none where config.json says 0, and an error where it says nonsense", () => {
    expect(names(expand(withText({ experts: 0 })))).toContain("text.1.mlp");
    expect(() => expand(withText({ experts: "many" }))).toThrow("text.experts or text.local_experts of config.json");
    expect(() => expand(withText({ experts: 1e7, down: 1 }))).toThrow("must be a number (0 to 100000)");
  });

  test("may be so many that they are refused before memory is", () => {
    expect(() => expand(withText({ layers: 100_000, experts: 1000, down: 1 }))).toThrow("500000 are not taken");
  });

  test("that the model packs are the packed tensors, under its own name for them", () => {
    const architecture = expand(experts, ["text.1.up_down", "text.1.outs"]);
    const layer = architecture.modules[0]?.layers[1]?.slice(5);
    expect(layer?.map(({ name, key }) => [name, key])).toEqual([
      ["text.1.up_down", "up_down"],
      ["text.1.outs", "out"],
      ["text.1.route.0", "route.0"],
      ["text.1.route.1", "route.1"],
    ]);
    expect(architecture.layout).toEqual({ kind: "packed", fixed: false });
    expect(expand(experts).layout).toEqual({ kind: "separate", fixed: false });
    expect(expand().layout).toEqual({ kind: undefined, fixed: false });
  });

  test("that the model packs can be taken apart: each says where it lies", () => {
    const architecture = expand(experts, ["text.1.up_down", "text.1.outs"], { split: true });
    const packings = architecture.modules[0]?.layers[1]?.slice(5, 11).map(({ name, packing }) => [name, packing]);
    expect(architecture.layout.kind).toBe("split");
    const whole = { names: ["text.1.up_down", "model.text.1.up_down", "1.up_down"] };
    const out = { names: ["text.1.outs", "text.1.out", "model.text.1.out", "1.out", "model.text.1.outs", "1.outs"] };
    const entry = (index: number) => ({ index, count: 2 });
    expect(packings).toEqual([
      ["text.1.experts.0.up", { ...whole, entry: entry(0), rows: { from: 0, to: 1, of: 3 } }],
      ["text.1.experts.1.up", { ...whole, entry: entry(1), rows: { from: 0, to: 1, of: 3 } }],
      ["text.1.experts.0.down", { ...whole, entry: entry(0), rows: { from: 1, to: 3, of: 3 } }],
      ["text.1.experts.1.down", { ...whole, entry: entry(1), rows: { from: 1, to: 3, of: 3 } }],
      ["text.1.experts.0.out", { ...out, entry: entry(0), rows: undefined }],
      ["text.1.experts.1.out", { ...out, entry: entry(1), rows: undefined }],
    ]);
  });
});

describe("a module of another family", () => {
  const speech = { num_hidden_layers: 1, vocab_size: 5 };
  const module = (more: object, stored: readonly string[] = []) =>
    expand({ ...config, speech: { ...speech, ...more } }, stored).modules.find(({ name }) => name === "speech");

  test("has that family's weights, by a part of config.json, under prefixes of its own", () => {
    const spec = module({ head: true });
    expect(spec?.family).toBe("llama");
    expect(spec?.before[0]?.name).toBe("speech.model.embed_tokens.weight");
    expect(spec?.layers).toHaveLength(1);
    expect(spec?.after.map(({ name, key, tie }) => [name, key, tie])).toEqual([
      ["speech.model.norm.weight", "norm.weight", undefined],
      ["speech.lm_head.weight", "lm_head.weight", "speech.model.embed_tokens.weight"],
    ]);
  });

  test("goes by the model's own spelling of both prefixes", () => {
    const spec = module({ head: true }, ["model.speech.norm.weight"]);
    expect(spec?.after.map(({ name }) => name)).toEqual(["model.speech.norm.weight", "lm_head.weight"]);
  });

  test("has no head where the definition says so, and is not there where its condition fails", () => {
    expect(module({})?.after.map(({ name }) => name)).toEqual(["speech.model.norm.weight"]);
    expect(expand().modules.map(({ name }) => name)).toEqual(["text", "vision"]);
  });

  test("has that family's keys and defaults", () => {
    const architecture = expand({ ...config, speech: { ...speech, layer_types: ["a"], mlp_bias: true } });
    expect(architecture.keys.layerCount.speech).toBe("speech.num_hidden_layers");
    expect(architecture.keys.perLayer.speech).toEqual(["speech.layer_types"]);
    expect(names(architecture)).toContain("speech.model.layers.0.mlp.up_proj.bias");
    expect(names(architecture)).not.toContain("speech.model.layers.0.self_attn.q_proj.bias");
  });

  test("of a family that nobody described is an error that names it", () => {
    expect(() => module({ model_type: "unheard_of" })).toThrow(
      'no family is described for the model\'s speech: speech.model_type is "unheard_of"',
    );
  });
});

describe("what cannot be expanded", () => {
  test.each([[undefined], [-1], [1.5], ["2"], [1e9]])("a number of layers that is %p names the key", (layers) => {
    const report = new Report();
    expect(expandDefinition("made-up", definition, storedModel({ text: { layers } }, []), report)).toBeUndefined();
    expect(report.errors.map(({ code }) => code)).toEqual(["layer-count"]);
    expect(report.errors[0]?.message).toContain("text.layers");
  });

  test("a family that nobody described: the error names those that are", () => {
    const report = new Report();
    const model = storedModel({ architectures: ["UnheardModel"], model_type: "unheard" }, []);
    expect(expandArchitecture(model, report)).toBeUndefined();
    expect(report.errors.map(({ code }) => code)).toEqual(["unknown-architecture"]);
    expect(report.errors[0]?.message).toContain("UnheardModel");
    expect(report.errors[0]?.hint).toContain("llama");
    expect(expandArchitecture(storedModel({}, []), report)).toBeUndefined();
    expect(report.errors[1]?.message).toContain("no architectures and no model_type");
  });

  test("a class that the family does not know is read as the usual one, with a warning", () => {
    const report = new Report();
    const model = storedModel({ ...config, architectures: ["MadeDownForCausalLM"] }, []);
    const architecture = expandDefinition("made-up", definition, model, report);
    expect(report.warnings.map(({ code }) => code)).toEqual(["unknown-class"]);
    expect(architecture?.architecture).toBe("MadeUpForCausalLM");
    expect(names(architecture as Architecture)).toContain("head.weight");
  });

  test("an unknown class for another purpose has not the usual one's head", () => {
    const report = new Report();
    const model = storedModel({ ...config, architectures: ["MadeUpForRewards"] }, []);
    const architecture = expandDefinition("made-up", definition, model, report);
    expect(report.warnings[0]?.message).toEndWith("read as one of that family without the head of MadeUpForCausalLM");
    expect(architecture?.architecture).toBe("MadeUpForRewards");
    expect(names(architecture as Architecture)).not.toContain("head.weight");
  });
});

test("models agree where family and class are the same", () => {
  const causal = expand();
  expect(familiesAgree(causal, expand(withText({ layers: 5 })))).toBe(true);
  expect(familiesAgree(causal, expand({ text: { layers: 5 } }))).toBe(true);
  expect(familiesAgree(causal, expand({ ...config, architectures: ["MadeUpModel"] }))).toBe(false);
  expect(familiesAgree(causal, { ...causal, family: "other" })).toBe(false);
});
