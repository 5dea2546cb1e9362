import { describe, expect, test } from "bun:test";
import type { Composition, MergeConfig } from "../../src/config/types.ts";
import { at, problems, read, warnings } from "./reading.ts";

function whole(config: MergeConfig): Composition {
  if (config.body.kind !== "whole") throw new Error("the configuration has modules");
  return config.body.composition;
}

const head = "merge_method: linear\n";
const slice = (source: string) => `${head}slices:\n  - sources:\n      - ${source}\n`;

describe("models", () => {
  test("are listed in their order, the same one as often as it stands there", () => {
    const composition = whole(
      read(`${head}models:\n  - model: b\n  - model: a\n    parameters: {weight: 1}\n  - model: b\n`),
    );
    expect(composition).toMatchObject({
      kind: "models",
      models: [
        { model: { ref: { model: { path: "b" } }, at: at(3, 12) } },
        { model: { ref: { model: { path: "a" } } } },
        { model: { ref: { model: { path: "b" } }, at: at(6, 12) } },
      ],
    });
    expect(composition.kind === "models" && composition.models[1]?.parameters.get("weight")?.lines).toEqual([
      { value: 1 },
    ]);
  });

  test("are mappings with a model", () => {
    expect(problems(`${head}models: [a]\n`)).toEqual(["2:10 config-type"]);
    expect(problems(`${head}models: {model: a}\n`)).toEqual(["2:9 config-type"]);
    expect(problems(`${head}models:\n  - parameters: {}\n`)).toEqual(["3:5 missing-key"]);
  });
});

describe("slices", () => {
  test("have sources with a layer range, and parameters and a base of their own", () => {
    const text = `${slice('{model: a, layer_range: [0, "8"]}')}    base_model: c\n    residual_weight: 0.5\n    parameters: {t: [0, 1]}\n`;
    const composition = whole(read(text));
    expect(composition).toMatchObject({
      kind: "slices",
      slices: [
        {
          at: at(3, 5),
          baseModel: { ref: { model: { path: "c" } } },
          sources: [{ model: { ref: { model: { path: "a" } } }, layerRange: [0, 8], at: at(4, 33) }],
        },
      ],
    });
    expect(composition.kind === "slices" && composition.slices[0]?.parameters.get("t")?.lines).toEqual([
      { value: [0, 1] },
    ]);
    expect(warnings(text)).toEqual([]);
  });

  test.each([
    ["[4, 2]", "layer-range"],
    ["[-1, 2]", "layer-range"],
    ["[0]", "config-type"],
    ["[0, 1, 2]", "config-type"],
    ["8", "config-type"],
    ["{a: 1}", "config-type"],
  ])("a layer range %s is an error", (range, code) => {
    expect(problems(slice(`{model: a, layer_range: ${range}}`))).toEqual([`4:33 ${code}`]);
  });

  test.each(["[0, 1.5]", "[0, x]", "[0, .nan]", "[0, [1]]"])("a layer range %s is an error at its end", (range) => {
    expect(problems(slice(`{model: a, layer_range: ${range}}`))).toEqual(["4:37 config-type"]);
  });

  test("an empty layer range warns", () => {
    expect(warnings(slice("{model: a, layer_range: [3, 3]}"))).toMatchObject([{ code: "layer-range", at: at(4, 33) }]);
  });

  test("a source without a layer range, and a slice without sources, are errors", () => {
    expect(problems(slice("{model: a}"))).toEqual(["4:9 missing-key"]);
    expect(problems(`${head}slices:\n  - sources: []\n  - base_model: a\n`)).toEqual([
      "3:14 missing-key",
      "4:5 missing-key",
    ]);
  });

  test("a residual weight that is no number is an error", () => {
    expect(problems(`${slice("{model: a, layer_range: [0, 1]}")}    residual_weight: x\n`)).toEqual([
      "5:22 config-type",
    ]);
  });
});

describe("modules", () => {
  test("each have models or slices, and parameters", () => {
    const config = read(
      `${head}modules:\n  text:\n    models: [{model: a}]\n    parameters: {weight: 1}\n  vision:\n    slices: [{sources: [{model: b, layer_range: [0, 1]}]}]\n`,
    );
    const modules = config.body.kind === "modules" ? config.body.modules : new Map();
    expect([...modules.keys()]).toEqual(["text", "vision"]);
    expect(modules.get("text")).toMatchObject({ composition: { kind: "models" }, at: at(3, 3) });
    expect(modules.get("text")?.parameters.has("weight")).toBe(true);
    expect(modules.get("vision")).toMatchObject({ composition: { kind: "slices" } });
  });

  test("with both or neither are errors", () => {
    const both = "{models: [{model: a}], slices: [{sources: [{model: b, layer_range: [0, 1]}]}]}";
    expect(problems(`${head}modules:\n  x: ${both}\n  y: {models: []}\n`)).toEqual([
      "3:29 models-and-slices",
      "4:3 nothing-to-merge",
    ]);
  });
});

describe("what to merge", () => {
  test("stands in exactly one of models, slices and modules", () => {
    const models = "models: [{model: a}]\n";
    const slices = "slices: [{sources: [{model: b, layer_range: [0, 1]}]}]\n";
    expect(problems(head + models + slices)).toEqual(["3:1 models-and-slices"]);
    expect(problems(head + slices + models)).toEqual(["3:1 models-and-slices"]);
    expect(problems(`${head + models}modules: {x: {${models.trim()}}}\n`)).toEqual(["3:1 models-and-slices"]);
    expect(problems(`${head}models: []\n`)).toEqual(["1:1 nothing-to-merge"]);
    expect(problems(head)).toEqual(["1:1 nothing-to-merge"]);
    expect(problems(`${head}${models}slices: []\nmodules:\n`)).toEqual([]);
  });
});
