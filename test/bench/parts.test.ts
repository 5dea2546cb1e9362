import { expect, test } from "bun:test";
import { partOf } from "../../src/bench/parts.ts";

test.each([
  ["model.embed_tokens.weight", "embedding"],
  ["transformer.wte.weight", "embedding"],
  ["wpe.weight", "embedding"],
  ["model.layers.3.self_attn.q_proj.weight", "attention"],
  ["model.layers.3.self_attn.q_proj.bias", "attention"],
  ["transformer.h.0.attn.c_proj.weight", "attention"],
  ["bert.encoder.layer.0.attention.output.dense.weight", "attention"],
  ["model.layers.3.mlp.gate_proj.weight", "mlp"],
  ["transformer.h.11.mlp.c_proj.bias", "mlp"],
  ["model.layers.0.block_sparse_moe.experts.7.w1.weight", "mlp"],
  ["layers.0.feed_forward.w2.weight", "mlp"],
  ["model.norm.weight", "norm"],
  ["model.layers.3.input_layernorm.weight", "norm"],
  ["model.layers.3.post_attention_layernorm.weight", "norm"],
  ["model.layers.3.self_attn.q_norm.weight", "norm"],
  ["transformer.h.0.ln_1.weight", "norm"],
  ["transformer.ln_f.bias", "norm"],
  ["lm_head.weight", "head"],
  ["score.weight", "head"],
  ["classifier.bias", "head"],
  ["model.layers.0.mixer.A_log", "other"],
])("%s belongs to %s", (tensor, part) => {
  expect(partOf(tensor)).toBe(part as ReturnType<typeof partOf>);
});
