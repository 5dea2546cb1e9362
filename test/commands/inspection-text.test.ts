import { expect, test } from "bun:test";
import { inspect } from "../../src/architecture/inspect.ts";
import { shapeFacts } from "../../src/commands/inspection-shape.ts";
import { inspectionText } from "../../src/commands/inspection-text.ts";
import { understandModel } from "../../src/commands/open-model.ts";
import { tinyModel } from "../plan/models.ts";

function text(shards: number): string {
  const found = tinyModel("m", { layers: 3, rows: 12, tied: true });
  const files = Array.from({ length: shards }, (_, i) => ({ path: `/models/m/model-${i}.safetensors`, size: 1000 }));
  const { model, architecture } = understandModel({ ...found, weightFiles: files }, undefined);
  const tokenizer = {
    from: "tokenizer.json",
    kind: "BPE",
    tokens: 10,
    added: 0,
    largestId: 9,
    roles: {},
    chatTemplate: false,
  };
  return inspectionText({ ...inspect(model, architecture), shape: { hidden: 4096 }, tokenizer, oddities: [] });
}

test("a model of one module has its layers said, and its sizes as config.json has them", () => {
  const lines = text(1).split("\n");
  expect(lines).toContain("layers     3 (num_hidden_layers)");
  expect(lines).toContain("sizes      hidden 4,096");
  expect(text(1)).toContain("model.embed_tokens.weight [12, 4], 2 rows beyond the last token");
});

test("of many files the first are named, and all counted", () => {
  expect(text(12)).toContain("model-11.safetensors");
  expect(text(163)).toContain("and 160 more: 163 files in all");
  expect(text(163)).not.toContain("model-3.safetensors");
});

test("sizes are found under the names that families have for them, also of the language model within a larger one", () => {
  expect(shapeFacts({ n_embd: 768, n_head: 12, n_positions: 1024 })).toEqual({ hidden: 768, heads: 12, context: 1024 });
  expect(shapeFacts({ vision_config: { hidden_size: 9 }, text_config: { hidden_size: 8, num_experts: 4 } })).toEqual({
    hidden: 8,
    experts: 4,
  });
  expect(shapeFacts({ hidden_size: "many" })).toEqual({});
});
