import { describe, expect, test } from "bun:test";
import { conditionHolds } from "../../src/architecture/config-values.ts";
import type { FamilyDefinition } from "../../src/architecture/definition.ts";
import { expandArchitecture, expandDefinition, familiesAgree } from "../../src/architecture/expand.ts";
import { weightSpecs } from "../../src/architecture/resolve.ts";
import { expandBraces } from "../../src/architecture/template.ts";
import type { Architecture } from "../../src/architecture/types.ts";
import { Report } from "../../src/errors.ts";
import madeUp from "./made-up.json";
import { storedModel } from "./stored-model.ts";

const definition = madeUp as unknown as FamilyDefinition;
const config = { architectures: ["MadeUpForCausalLM"], text: { layers: 2, vocab_size: 8 } };

function expand(changed: Record<string, unknown> = config, stored: readonly string[] = []): Architecture {
  const report = new Report();
  const architecture = expandDefinition("made-up", definition, storedModel(changed, stored), report);
  report.throwIfErrors();
  return architecture as Architecture;
}

function names(architecture: Architecture): string[] {
  return weightSpecs(architecture).map(({ name }) => name);
}

describe("brace lists", () => {
  test("stand for each of their parts in turn, the last one fastest", () => {
    expect(expandBraces("{q,k}.{weight,bias}")).toEqual(["q.weight", "q.bias", "k.weight", "k.bias"]);
    expect(expandBraces("norm{,_2}")).toEqual(["norm", "norm_2"]);
    expect(expandBraces("plain")).toEqual(["plain"]);
  });

  test("in an alias go along with those of the name", () => {
    const heads = expand().modules[0]?.after;
    expect(heads?.map(({ name, aliases }) => [name, aliases])).toEqual([
      ["head.weight", ["output.weight"]],
      ["head.bias", ["output.bias"]],
    ]);
  });
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
  });

  test("takes its defaults for what config.json leaves out", () => {
    expect(expand().modules[1]?.layers).toHaveLength(1);
    expect(expand().tied).toBe(true);
    expect(expand({ ...config, text: { layers: 0, tie: false } }).tied).toBe(false);
  });

  test("has the weights whose conditions hold", () => {
    expect(names(expand())).not.toContain("text.0.q.bias");
    expect(names(expand({ ...config, text: { layers: 1, bias: true } }))).toContain("text.0.k.bias");
    expect(names(expand({ ...config, architectures: ["MadeUpModel"] }))).not.toContain("head.weight");
  });

  test("says what is optional, tied and has a role", () => {
    const specs = weightSpecs(expand());
    expect(specs.find(({ name }) => name === "text.1.gate")).toEqual({
      name: "text.1.gate",
      aliases: ["model.text.1.gate", "1.gate", "old.1.gate"],
      tie: undefined,
      role: undefined,
      optional: true,
      layer: 1,
    });
    expect(specs.find(({ name }) => name === "head.weight")).toMatchObject({ tie: "text.embed.weight", role: "head" });
  });

  test("finds per-layer lists by declaration, or beside the number of layers, where their length fits", () => {
    const text = { layers: 2, layer_types: ["a", "b"] };
    expect(expand({ ...config, text, vision: { depth: 1, windows: [4] } }).keys.perLayer).toEqual([
      "text.layer_types",
      "vision.windows",
    ]);
    expect(expand({ ...config, text: { ...text, layers: 3 }, vision: { windows: 4 } }).keys.perLayer).toEqual([]);
  });
});

describe("prefixes", () => {
  test("follow the model: its own gives the names, the others are aliases", () => {
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

  test("are the usual ones where the model stores nothing under any", () => {
    expect(names(expand(config, ["x"]))[0]).toBe("text.embed.weight");
  });
});

describe("conditions", () => {
  const holds = (condition: Parameters<typeof conditionHolds>[0], values: Record<string, unknown>) =>
    conditionHolds(condition, (key) => values[key]);

  test("hold where every key has one of the values", () => {
    expect(holds({ a: 1, b: ["x", "y"] }, { a: 1, b: "y" })).toBe(true);
    expect(holds({ a: 1, b: ["x", "y"] }, { a: 2, b: "y" })).toBe(false);
    expect(holds({ b: ["x", "y"] }, { b: "z" })).toBe(false);
    expect(holds({}, {})).toBe(true);
  });

  test("mean by null that the key is absent, and by a list's element that the list has it", () => {
    expect(holds({ a: null }, {})).toBe(true);
    expect(holds({ a: true }, {})).toBe(false);
    expect(holds({ a: "x" }, { a: ["w", "x"] })).toBe(true);
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
    const model = storedModel({ architectures: ["BertModel"], model_type: "bert" }, []);
    expect(expandArchitecture(model, report)).toBeUndefined();
    expect(report.errors.map(({ code }) => code)).toEqual(["unknown-architecture"]);
    expect(report.errors[0]?.message).toContain("BertModel");
    expect(report.errors[0]?.hint).toContain("llama, mistral, phi3");
    expect(expandArchitecture(storedModel({}, []), report)).toBeUndefined();
    expect(report.errors[1]?.message).toContain("no architectures and no model_type");
  });

  test("a class that the family does not know is read as the usual one, with a warning", () => {
    const report = new Report();
    const model = storedModel({ ...config, architectures: ["MadeUpForRewards"] }, []);
    const architecture = expandDefinition("made-up", definition, model, report);
    expect(report.warnings.map(({ code }) => code)).toEqual(["unknown-class"]);
    expect(architecture?.architecture).toBe("MadeUpForCausalLM");
    expect(names(architecture as Architecture)).toContain("head.weight");
  });
});

test("models agree where family and class are the same", () => {
  const causal = expand();
  expect(familiesAgree(causal, expand({ ...config, text: { layers: 5 } }))).toBe(true);
  expect(familiesAgree(causal, expand({ text: { layers: 5 } }))).toBe(true);
  expect(familiesAgree(causal, expand({ ...config, architectures: ["MadeUpModel"] }))).toBe(false);
  expect(familiesAgree(causal, { ...causal, family: "other" })).toBe(false);
});
