import { describe, expect, test } from "bun:test";
import { readLayerStack } from "../../src/config/bakllama.ts";
import { formatProblem, Report, SinterError } from "../../src/errors.ts";
import { layerStackText } from "../../src/recipes/bakllama.ts";
import { plan, tinyModel } from "../plan/models.ts";

const read = (text: string) => readLayerStack(text, "b.yml", { strict: false }, new Report());
const STACK = `layer_slices:
  - {model: a, start: 0, end: 2}
  - {model: b, start: 1, end: 3, scale: 0.5}
embedding_source: e
lm_head_source: h
`;

describe("a configuration of bakllama", () => {
  const models = ["a", "b", "e", "h"].map((name) => tinyModel(name, { layers: 3 }));
  const planned = plan(layerStackText(read(STACK), true), models);
  const from = (tensor: string) => planned.op(tensor).inputs[0]?.model;

  test("stacks its slices, embeddings and head from where it says", () => {
    expect(planned.config.num_hidden_layers).toBe(4);
    expect([0, 1, 2, 3].map((layer) => from(`model.layers.${layer}.self_attn.q_proj.weight`))).toEqual([
      "a",
      "a",
      "b",
      "b",
    ]);
    expect(planned.op("model.layers.2.self_attn.q_proj.weight").inputs[0]?.tensor).toBe(
      "model.layers.1.self_attn.q_proj.weight",
    );
    expect([from("model.embed_tokens.weight"), from("model.norm.weight"), from("lm_head.weight")]).toEqual([
      "e",
      "h",
      "h",
    ]);
    expect(planned.op("lm_head.weight").dtype).toBe("F16");
  });

  test("scales what feed-forward parts give, and nothing else", () => {
    expect(planned.op("model.layers.2.mlp.down_proj.weight")).toMatchObject({ kernel: "linear", params: [0.5] });
    expect(planned.op("model.layers.2.mlp.up_proj.weight").params).toEqual([1]);
    expect(planned.op("model.layers.0.mlp.down_proj.weight").params).toEqual([1]);
  });

  test("reports all errors with their places", () => {
    try {
      read("layer_slices:\n  - {model: a, start: 2, end: 1}\n  - {start: x, end: 3}\n");
    } catch (error) {
      if (!(error instanceof SinterError)) throw error;
      expect(error.problems.map(formatProblem)).toEqual([
        "b.yml:2:5: layers 2 to 1 are none: start counts from 0, and end is not part of it",
        "b.yml:3:5: a slice of layers has no model\n  → give model, start and end",
        'b.yml:3:13: start must be a whole number, not the text "x"',
      ]);
      return;
    }
    throw new Error("it was read");
  });

  test("without layers is an error", () => {
    expect(() => read("embedding_source: a\n")).toThrow("names no layers");
  });
});
