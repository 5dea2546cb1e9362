import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expandArchitecture } from "../../src/architecture/expand.ts";
import { configFolder, describedFamilies, familiesFor } from "../../src/architecture/families.ts";
import { BUILT_IN } from "../../src/architecture/registry.ts";
import { resolveWeight, unknownTensors, weightSpecs } from "../../src/architecture/resolve.ts";
import type { Architecture } from "../../src/architecture/types.ts";
import { Report } from "../../src/errors.ts";
import type { Model } from "../../src/model/types.ts";
import { recorded, recordedModel } from "./recorded.ts";
import { storedModel } from "./stored-model.ts";

const root = mkdtempSync(join(tmpdir(), "sinter-families-"));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;
let folder = "";
beforeEach(() => {
  folder = join(root, String(count++));
  mkdirSync(folder);
});

const NONE = join(root, "no-such-folder");

function write(name: string, definition: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof definition === "string" ? definition : JSON.stringify(definition));
  return path;
}

function families(path: string | undefined, config = NONE) {
  const report = new Report();
  const found = describedFamilies(path, report, config);
  report.throwIfErrors();
  return found;
}

function expand(path: string, model: Model): Architecture {
  const report = new Report();
  const architecture = expandArchitecture(model, report, { families: families(path) });
  report.throwIfErrors();
  return architecture as Architecture;
}

const own = {
  model_types: ["mine"],
  architectures: ["MineForCausalLM"],
  config: { vocab_size: "vocab_size", tie: "tie_word_embeddings", defaults: {} },
  modules: { default: { layer_count: "n", layer: ["x.${layer}.w"] } },
};

describe("definitions of the user's", () => {
  test("add families, from a file or a folder", () => {
    write("schema.json", "{}");
    const path = write("mine.json", own);
    for (const given of [path, folder]) {
      expect(families(given).find("MineForCausalLM", undefined)).toBe("mine");
      expect(families(given).names).toHaveLength(BUILT_IN.names.length + 1);
    }
    expect(weightSpecs(expand(path, storedModel({ architectures: ["MineForCausalLM"], n: 2 }, []))).length).toBe(2);
  });

  test("go before those that come with Sinter, by class and by name", () => {
    const path = write("my-qwen.json", { ...own, architectures: ["Qwen2ForCausalLM"], model_types: ["qwen2"] });
    expect(families(path).find("Qwen2ForCausalLM", "qwen2")).toBe("my-qwen");
    expect(families(path).find("Qwen2Model", "qwen2")).toBe("qwen2");
    expect(families(write("llama.json", own)).load("llama")).toEqual(own as never);
  });

  test("are read from the folder for configurations as well, and a given path goes before it", () => {
    write("one.json", own);
    const other = join(folder, "other");
    mkdirSync(other);
    writeFileSync(join(other, "two.json"), JSON.stringify(own));
    expect(families(undefined, folder).find("MineForCausalLM", undefined)).toBe("one");
    expect(families(undefined, NONE)).toBe(BUILT_IN);
    expect(configFolder({ XDG_CONFIG_HOME: "/c" })).toBe(join("/c", "sinter", "architectures"));
    expect(configFolder({})).toEndWith(join(".config", "sinter", "architectures"));
    expect(families(other, folder).names).toEqual(expect.arrayContaining(["one", "two"]));
  });

  test("are not needed where a family is inferred: that is a warning, and says how to keep it", () => {
    const report = new Report();
    const model = storedModel({ architectures: ["NewModel"], model_type: "new" }, ["x.0.a", "x.1.a"]);
    const found = familiesFor([model], undefined, report);
    expect(found.find("NewModel", "new")).toBe("new");
    expect(report.warnings).toMatchObject([{ code: "inferred-family", model: "stored" }]);
    expect(report.warnings[0]?.message).toContain('NewModel (model_type "new")');
  });

  test("are inferred, too, for a known family with a part that nobody described", () => {
    const { config, shapes } = recorded("llava-llama-clip-tied");
    const text = { ...(config.text_config as object), model_type: "unheard" };
    const model = recordedModel({ config: { ...config, text_config: text }, shapes });
    const report = new Report();
    const architecture = expandArchitecture(model, report, { families: familiesFor([model], undefined, report) });
    expect(report.errors).toEqual([]);
    expect(architecture?.modules.map(({ name }) => name)).toEqual(["vision_tower", "language_model", "other"]);
  });
});

describe("a definition in mergekit's format", () => {
  const norm = { name: "model.norm.weight" };
  const embedding = { name: "model.embed_tokens.weight", is_embed: true };
  const qwen2 = (head: object) => ({
    model_type: "qwen2",
    architectures: ["Qwen2ForCausalLM"],
    pre_weights: [embedding],
    num_layers_config_key: "num_hidden_layers",
    layer_templates: {
      weights: [
        ...["input_layernorm", "post_attention_layernorm"].map((name) => `${name}.weight`),
        ...["q", "k", "v", "o"].map((name) => `self_attn.${name}_proj.weight`),
        ...["q", "k", "v"].map((name) => `self_attn.${name}_proj.bias`),
        ...["gate", "up", "down"].map((name) => `mlp.${name}_proj.weight`),
      ].map((name) => ({ name: `model.layers.\${layer_index}.${name}` })),
    },
    post_weights: [norm, { name: "lm_head.weight", is_embed: true, ...head }],
  });

  test.each([
    ["an alias", { aliases: ["model.embed_tokens.weight"] }],
    ["a tied name", { optional: true, tied_names: ["model.embed_tokens.weight"] }],
  ])("ties Qwen2's head by %s", (_, head) => {
    const path = write("qwen2.json", qwen2(head));
    const model = recordedModel(recorded("qwen2-tied"));
    const architecture = expand(path, model);
    const specs = weightSpecs(architecture);
    const last = specs.at(-1);
    expect(last).toMatchObject({ name: "lm_head.weight", tie: "model.embed_tokens.weight", role: "head", aliases: [] });
    expect(resolveWeight(last as never, model, architecture)).toMatchObject({ via: "tie" });
    expect(specs.filter((spec) => resolveWeight(spec, model, architecture) === undefined)).toEqual([]);
    expect(unknownTensors(model, architecture)).toEqual([]);
    expect(architecture.tied).toBe(true);
  });

  test("has aliases, optional weights, dtypes and arithmetic", () => {
    const path = write("odd.json", {
      model_type: "odd",
      architectures: ["Odd"],
      pre_weights: [{ name: "h.0.wte", aliases: ["wte"], is_embed: true }],
      layer_templates: { weights: [{ name: "h.${layer_index+1}.w", aliases: ["g.${layer_index}.w"], optional: true }] },
      post_weights: [{ name: "h.${num_layers+1}.ln", force_dtype: "float32", aliases: null }],
      override_num_layers: 2,
    });
    const specs = weightSpecs(expand(path, storedModel({ architectures: ["Odd"] }, [])));
    expect(specs.map(({ name, aliases, optional, dtype, role }) => [name, aliases, optional, dtype, role])).toEqual([
      ["h.0.wte", ["wte"], false, undefined, "embedding"],
      ["h.1.w", ["g.0.w"], true, undefined, undefined],
      ["h.2.w", ["g.1.w"], true, undefined, undefined],
      ["h.3.ln", [], false, "F32", undefined],
    ]);
  });

  test("may force an integer dtype: such a weight is a constant, and is copied", () => {
    const path = write("ids.json", {
      model_type: "ids",
      architectures: ["Ids"],
      pre_weights: [{ name: "position_ids", force_dtype: "int64", optional: true }],
      layer_templates: { weights: [] },
      post_weights: [],
    });
    const model = storedModel({ architectures: ["Ids"], num_hidden_layers: 1 }, []);
    expect(weightSpecs(expand(path, model))).toMatchObject([{ name: "position_ids", buffer: true, dtype: undefined }]);
  });

  test.each(["num_hidden_layers", "n_layers", "n_layer"])("counts layers as transformers does, by %s", (key) => {
    const path = write("layers.json", {
      model_type: "other",
      architectures: ["Other"],
      pre_weights: [],
      layer_templates: { weights: [{ name: "h.${layer_index}.w" }] },
      post_weights: [],
      num_layers_config_key: "num_hidden_layers",
    });
    const architecture = expand(path, storedModel({ architectures: ["Other"], [key]: 3 }, []));
    expect(architecture.modules[0]?.layers).toHaveLength(3);
    expect(architecture.keys.layerCount).toEqual({ default: key });
  });

  test("may be modular: prefixes, counts of layers and files to carry along", () => {
    const module = (name: string, more: object) => ({
      model_type: "",
      architectures: [],
      pre_weights: [],
      layer_templates: { weights: [{ name: `${name}.\${layer_index}.w` }] },
      post_weights: [{ name: "end", aliases: ["fin"], tied_names: [`${name}.0.w`] }],
      ...more,
    });
    const path = write("two.json", {
      kind: "modular",
      model_type: "two",
      architectures: ["TwoPartModel"],
      modules: {
        text: { weight_prefix: "lm.", architecture: module("t", { num_layers_config_key: "text.layers" }) },
        projector: { architecture: module("p", { override_num_layers: 0 }) },
      },
      tagalong_files: ["processor.json"],
      vocab_size_config_key: "text.vocab",
    });
    const model = storedModel({ architectures: ["TwoPartModel"], text: { layers: 1 } }, []);
    const architecture = expand(path, model);
    expect(architecture.modules.map(({ name, layers }) => [name, layers.length])).toEqual([
      ["text", 1],
      ["projector", 0],
    ]);
    expect(weightSpecs(architecture).map(({ name, aliases }) => [name, aliases])).toEqual([
      ["lm.t.0.w", []],
      ["lm.end", ["lm.fin", "lm.t.0.w"]],
      ["end", ["fin", "p.0.w"]],
    ]);
    expect(architecture.keys).toMatchObject({ vocabSize: "text.vocab", layerCount: { text: "text.layers" } });
    expect(architecture.files).toEqual(["processor.json"]);
  });
});

describe("a definition that is none", () => {
  const weights = { model_type: "x", architectures: ["X"], layer_templates: { weights: [] }, post_weights: [] };
  test.each([
    ["not JSON", "{", "the definition is not JSON"],
    ["a list", [], "the definition is JSON, but not an object"],
    ["empty", {}, "the definition has no model_types"],
    ["without modules", { ...own, modules: {} }, "modules must not be empty"],
    ["with a misspelt key", { ...own, modules: { default: { layers: [] } } }, "modules.default.layers is no key"],
    [
      "with a wrong entry",
      { ...own, modules: { default: { before: ["x", { name: "y", role: "tail" }] } } },
      'modules.default.before[1].role must be one of "embedding", "head"',
    ],
    ["mergekit's without pre_weights", weights, "the definition has no pre_weights"],
    [
      "mergekit's with a wrong weight",
      { ...weights, pre_weights: [{ name: "x", optional: "yes" }] },
      "pre_weights[0].optional must be true or false",
    ],
    [
      "mergekit's with a wrong dtype",
      { ...weights, pre_weights: [{ name: "x", force_dtype: "int7" }] },
      'the definition x: force_dtype "int7" is no dtype',
    ],
    [
      "mergekit's without a class",
      { ...weights, pre_weights: [], architectures: [] },
      "architectures must not be empty",
    ],
  ])("%s: the error names the file and the place in it", (_, content, message) => {
    const path = write("bad.json", content);
    const report = new Report();
    describedFamilies(path, report, NONE);
    expect(report.errors).toMatchObject([{ code: "invalid-definition", path }]);
    expect(report.errors[0]?.message).toStartWith(message);
  });

  test.each([["nowhere.json"], ["."]])("%s: the error says what there is not", (name) => {
    const report = new Report();
    describedFamilies(join(folder, name), report, NONE);
    expect(report.errors.map(({ code }) => code)).toEqual(["no-definition"]);
  });

  test("larger than any that a person wrote is not read", () => {
    const report = new Report();
    describedFamilies(write("large.json", `"${"x".repeat(4_000_001)}"`), report, NONE);
    expect(report.errors[0]?.message).toContain("more than 4000000 are not read");
  });
});
