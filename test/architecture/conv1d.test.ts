import { expect, test } from "bun:test";
import { isConv1d } from "../../src/architecture/conv1d.ts";

test("GPT-2's layers are stored the other way round, by their names and their class", () => {
  expect(isConv1d("gpt2", "transformer.h.0.attn.c_attn")).toBe(true);
  expect(isConv1d("gpt2", "c_proj")).toBe(true);
  expect(isConv1d("gpt2", "transformer.wte")).toBe(false);
  expect(isConv1d("llama", "transformer.h.0.attn.c_attn")).toBe(false);
});

test("a model_type that no text can be made of is no class", () => {
  for (const type of [undefined, null, 1, ["gpt2"], { toString: false }]) expect(isConv1d(type, "c_attn")).toBe(false);
});
