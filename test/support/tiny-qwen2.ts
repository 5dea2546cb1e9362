import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { decode, encode } from "../oracle/dtype.ts";
import { type StoredTensor, writeSafetensors } from "./safetensors.ts";

/** What a tiny Qwen2 is made of. */
export interface TinyQwen2 {
  layers?: number;
  vocab?: number;
  /** Whether the head is the embedding (no lm_head.weight) or stored. */
  tied?: boolean;
  dtype?: FloatDtype;
  seed?: number;
  /** Another model's tensors: this one's are those plus small noise. */
  base?: ReadonlyMap<string, StoredTensor>;
}

const HIDDEN = 16;
const INTERMEDIATE = 24;
const KEYS = 8;

/** Names and shapes as Transformers stores them. */
function shapes({ layers = 2, vocab = 40, tied = true }: TinyQwen2): Map<string, number[]> {
  const all: [string, number[]][] = [["model.embed_tokens.weight", [vocab, HIDDEN]]];
  for (let layer = 0; layer < layers; layer++) {
    const add = (name: string, ...shape: number[]) => all.push([`model.layers.${layer}.${name}`, shape]);
    add("input_layernorm.weight", HIDDEN);
    add("mlp.down_proj.weight", HIDDEN, INTERMEDIATE);
    add("mlp.gate_proj.weight", INTERMEDIATE, HIDDEN);
    add("mlp.up_proj.weight", INTERMEDIATE, HIDDEN);
    add("post_attention_layernorm.weight", HIDDEN);
    for (const [letter, rows] of [
      ["q", HIDDEN],
      ["k", KEYS],
      ["v", KEYS],
    ] as const) {
      add(`self_attn.${letter}_proj.bias`, rows);
      add(`self_attn.${letter}_proj.weight`, rows, HIDDEN);
    }
    add("self_attn.o_proj.weight", HIDDEN, HIDDEN);
  }
  all.push(["model.norm.weight", [HIDDEN]]);
  if (!tied) all.push(["lm_head.weight", [vocab, HIDDEN]]);
  return new Map(all);
}

/** Reproducible weights. */
export function tinyTensors(model: TinyQwen2 = {}): Map<string, StoredTensor> {
  const { dtype = "BF16", seed = 1, base } = model;
  let state = seed;
  const noise = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  return new Map(
    [...shapes(model)].map(([name, shape]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      const from = base?.get(name);
      const start = from && decode(from.bytes, from.dtype as FloatDtype);
      const values = Float64Array.from(
        { length: count },
        (_, i) => (start?.[i] ?? 0) + noise() * (start ? 0.004 : 0.05),
      );
      return [name, { dtype, shape, bytes: encode(values, dtype) }];
    }),
  );
}

export function tinyConfig({ layers = 2, vocab = 40, tied = true, dtype = "BF16" }: TinyQwen2 = {}) {
  return {
    architectures: ["Qwen2ForCausalLM"],
    bos_token_id: 1,
    hidden_act: "silu",
    hidden_size: HIDDEN,
    intermediate_size: INTERMEDIATE,
    layer_types: Array(layers).fill("full_attention"),
    model_type: "qwen2",
    num_attention_heads: 4,
    num_hidden_layers: layers,
    num_key_value_heads: 2,
    tie_word_embeddings: tied,
    torch_dtype: { F64: "float64", F32: "float32", F16: "float16", BF16: "bfloat16" }[dtype],
    vocab_size: vocab,
  };
}

/** A tokenizer.json that uses the ids below `vocab`. */
export function tinyTokenizer(vocab: number) {
  const entries = Array.from({ length: vocab }, (_, id) => [`t${id}`, id]);
  return { version: "1.0", added_tokens: [], model: { type: "BPE", vocab: Object.fromEntries(entries), merges: [] } };
}

/**
 * Writes a model folder in Hugging Face layout: one file, or `shards` of them with an index.
 * @returns the tensors.
 */
export function writeTinyModel(
  folder: string,
  model: TinyQwen2 = {},
  { shards = 1, padding = 0 } = {},
): Map<string, StoredTensor> {
  const tensors = tinyTensors(model);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(tinyConfig(model), undefined, 2));
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tinyTokenizer((model.vocab ?? 40) - 2)));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ tokenizer_class: "Qwen2Tokenizer" }));
  writeFileSync(join(folder, "generation_config.json"), JSON.stringify({ do_sample: true, temperature: 0.7 }));
  writeWeights(folder, tensors, { shards, padding });
  return tensors;
}

export function writeWeights(
  folder: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  { shards = 1, padding = 0 } = {},
): void {
  if (shards === 1) {
    writeSafetensors(join(folder, "model.safetensors"), tensors, { padding });
    return;
  }
  const names = [...tensors.keys()];
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const number = (n: number) => String(n).padStart(5, "0");
    const file = `model-${number(shard + 1)}-of-${number(shards)}.safetensors`;
    const part = names.filter((_, i) => i % shards === shard);
    for (const name of part) weightMap[name] = file;
    const held = part.map((name) => [name, tensors.get(name) as StoredTensor] as const);
    writeSafetensors(join(folder, file), new Map(held), { padding });
  }
  const total = tensors.values().reduce((sum, { bytes }) => sum + bytes.length, 0);
  const index = { metadata: { total_size: total }, weight_map: weightMap };
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
}
