import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { applyEdits } from "../../src/model/config-edits.ts";
import { plan, sideText, type TinyModel, tinyModel } from "./models.ts";

const root = mkdtempSync(join(tmpdir(), "sinter-config-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const average = (more = "") =>
  `merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: a}, {model: b}]\n${more}`;
const qwen = (name: string, tiny: TinyModel) => tinyModel(name, { class: "Qwen2ForCausalLM", ...tiny });

describe("config.json of the output", () => {
  test("is the donor's where nothing changes, in its order", () => {
    const a = tinyModel("a", { config: { custom: { nested: [1, 2] }, zeta: null } });
    const merged = plan(average(), [a, tinyModel("b")]);
    expect(sideText(merged.plan, "config.json")).toBe(`${JSON.stringify(a.config, null, 2)}\n`);
  });

  test("comes from the base, else from the first model", () => {
    const models = ["a", "b", "base"].map((name) => tinyModel(name, { config: { who: name } }));
    expect(plan(average(), models).config.who).toBe("a");
    expect(plan(average("base_model: base"), models).config.who).toBe("base");
  });

  test("keeps the spelling of its numbers", () => {
    const dir = mkdtempSync(join(root, "model-"));
    const head =
      '{\n  "rope_theta": 10000.0,\n  "eps": 1e-06,\n  "list": [\n    1.0,\n    2\n  ],\n  "big": 12345678901234567890,\n';
    const config = tinyModel("a").config;
    writeFileSync(join(dir, "config.json"), head + JSON.stringify(config, null, 2).slice(2));
    const merged = plan(average("dtype: float32"), [tinyModel("a", { dir }), tinyModel("b")]);
    expect(sideText(merged.plan, "config.json")).toStartWith(head);
    expect(merged.config.torch_dtype).toBe("float32");
  });
});

describe("dtype", () => {
  const withKey = (key: string) => {
    const model = tinyModel("a", { config: { [key]: "bfloat16" } });
    const { torch_dtype, ...config } = model.config;
    return { ...model, config: key === "torch_dtype" ? model.config : config };
  };

  test.each(["torch_dtype", "dtype"])("is set in %s where that is there", (key) => {
    const { config } = plan("merge_method: passthrough\ndtype: float16\nmodels: [{model: a}]", [withKey(key)]);
    expect([config.torch_dtype, config.dtype].filter((value) => value !== undefined)).toEqual(["float16"]);
    expect(config[key]).toBe("float16");
  });

  test("is added as dtype where there is none", () => {
    const { config } = plan("merge_method: passthrough\nmodels: [{model: a}]", [withKey("other")]);
    expect(config.dtype).toBe("bfloat16");
  });

  test("is that of most elements", () => {
    const models = [tinyModel("a", { dtype: "F16", config: { torch_dtype: "bfloat16" } }), tinyModel("b")];
    expect(plan(average(), models).config.torch_dtype).toBe("float32");
  });
});

describe("layers", () => {
  const types = (name: string, layer_types: unknown) => qwen(name, { layers: 3, tied: true, config: { layer_types } });
  const stack = `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [1, 3]}]
`;

  test("are counted, and lists with an entry for each are made of the layers taken", () => {
    const { config } = plan(stack, [types("a", ["a0", "a1", "a2"]), types("b", ["b0", "b1", "b2"])]);
    expect(config.num_hidden_layers).toBe(4);
    expect(config.layer_types).toEqual(["a0", "a1", "b1", "b2"]);
  });

  test("of a model without such a list take the donor's entries, with a warning", () => {
    const merged = plan(stack, [types("a", ["a0", "a1", "a2"]), types("b", undefined)]);
    expect(merged.config.layer_types).toEqual(["a0", "a1", "a1", "a2"]);
    expect(merged.report.warnings).toMatchObject([{ code: "layer-list", model: "b" }]);
  });

  test("lists of another length are left alone", () => {
    const merged = plan(stack, [types("a", ["x"]), types("b", ["y"])]);
    expect(merged.config.layer_types).toEqual(["x"]);
    expect(merged.warned).toEqual([]);
  });

  test("keep their lists where the layers are the donor's", () => {
    const merged = plan(average(), [types("a", ["a0", "a1", "a2"]), types("b", ["b0", "b1", "b2"])]);
    expect(merged.config.layer_types).toEqual(["a0", "a1", "a2"]);
  });
});

describe("edits", () => {
  test("reach into nested objects, and leave the rest", () => {
    const before = { a: { b: 1, c: 2 }, d: 3 };
    const after = applyEdits(
      before,
      new Map<string, unknown>([
        ["a.b", 9],
        ["x.y", 1],
      ]),
    );
    expect(JSON.stringify(after)).toBe('{"a":{"b":9,"c":2},"d":3,"x":{"y":1}}');
    expect(before.a.b).toBe(1);
  });
});
