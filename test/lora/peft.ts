import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { numbers } from "../native/workbench.ts";
import { encode } from "../oracle/dtype.ts";
import { type StoredTensor, writeSafetensors } from "../support/safetensors.ts";

/** Tensors as they go into a file, by name. */
export type Shapes = Readonly<Record<string, readonly number[]>>;

/** Reproducible tensors of given shapes. */
export function someTensors(
  shapes: Shapes,
  seed: number,
  dtype: FloatDtype = "F32",
  scale = 0.1,
): Map<string, StoredTensor> {
  const { list } = numbers(seed);
  return new Map(
    Object.entries(shapes).map(([name, shape]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return [name, { dtype, shape, bytes: encode(list(count, scale), dtype) }];
    }),
  );
}

/** A model folder with these tensors, and no tokenizer. */
export function writeModel(
  folder: string,
  config: Record<string, unknown>,
  tensors: ReadonlyMap<string, StoredTensor>,
): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeSafetensors(join(folder, "model.safetensors"), tensors);
}

/** An adapter folder as PEFT writes it: `adapter_config.json` and `adapter_model.safetensors`. */
export function writeAdapter(
  folder: string,
  config: Record<string, unknown>,
  tensors: ReadonlyMap<string, StoredTensor>,
): void {
  mkdirSync(folder, { recursive: true });
  const usual = { peft_type: "LORA", task_type: "CAUSAL_LM", r: 4, lora_alpha: 6, target_modules: "all-linear" };
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify({ ...usual, ...config }));
  const named = [...tensors].map(([name, tensor]) => [`base_model.model.${name}`, tensor] as const);
  writeSafetensors(join(folder, "adapter_model.safetensors"), new Map(named));
}

/** The factors of a linear module: `[inputs, outputs]` by the module's path. */
export function factorShapes(modules: Readonly<Record<string, readonly [number, number]>>, rank: number): Shapes {
  return Object.fromEntries(
    Object.entries(modules).flatMap(([path, [inputs, outputs]]) => [
      [`${path}.lora_A.weight`, [rank, inputs]],
      [`${path}.lora_B.weight`, [outputs, rank]],
    ]),
  );
}

/** Shapes of a model in its class's names, and its config.json. */
export interface Family {
  config: Record<string, unknown>;
  shapes: Shapes;
}

const HIDDEN = 16;
const INNER = 24;
const VOCAB = 20;

/** Two layers of a llama-like model. */
export function llamaLike(
  type: string,
  architecture: string,
  { tied = false, biases = false, norms = 2 } = {},
): Family {
  const layer = (n: number): Shapes => ({
    [`model.layers.${n}.input_layernorm.weight`]: [HIDDEN],
    [`model.layers.${n}.post_attention_layernorm.weight`]: [HIDDEN],
    ...(norms === 4
      ? {
          [`model.layers.${n}.pre_feedforward_layernorm.weight`]: [HIDDEN],
          [`model.layers.${n}.post_feedforward_layernorm.weight`]: [HIDDEN],
        }
      : {}),
    ...Object.fromEntries(
      (["q", "k", "v"] as const).flatMap((one) => [
        [`model.layers.${n}.self_attn.${one}_proj.weight`, [one === "q" ? HIDDEN : 8, HIDDEN]],
        ...(biases ? [[`model.layers.${n}.self_attn.${one}_proj.bias`, [one === "q" ? HIDDEN : 8]]] : []),
      ]),
    ),
    [`model.layers.${n}.self_attn.o_proj.weight`]: [HIDDEN, HIDDEN],
    [`model.layers.${n}.mlp.gate_proj.weight`]: [INNER, HIDDEN],
    [`model.layers.${n}.mlp.up_proj.weight`]: [INNER, HIDDEN],
    [`model.layers.${n}.mlp.down_proj.weight`]: [HIDDEN, INNER],
  });
  return {
    config: {
      architectures: [architecture],
      model_type: type,
      hidden_size: HIDDEN,
      intermediate_size: INNER,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 4,
      tie_word_embeddings: tied,
      vocab_size: VOCAB,
    },
    shapes: {
      "model.embed_tokens.weight": [VOCAB, HIDDEN],
      ...layer(0),
      ...layer(1),
      "model.norm.weight": [HIDDEN],
      ...(tied ? {} : { "lm_head.weight": [VOCAB, HIDDEN] }),
    },
  };
}

/** The linear modules of one, with `[inputs, outputs]`. */
export function linearModules({ shapes }: Family): Record<string, readonly [number, number]> {
  const linear = Object.entries(shapes).filter(([name]) => /_proj\.weight$/.test(name));
  return Object.fromEntries(
    linear.map(([name, [outputs = 0, inputs = 0]]) => [name.slice(0, -".weight".length), [inputs, outputs] as const]),
  );
}

/** One layer of GPT-2: `Conv1D` stores its weights as [inputs, outputs]. */
export const GPT2: Family = {
  config: {
    architectures: ["GPT2LMHeadModel"],
    model_type: "gpt2",
    n_embd: 16,
    n_layer: 1,
    n_head: 4,
    vocab_size: 20,
    n_positions: 12,
  },
  shapes: {
    "transformer.wte.weight": [20, 16],
    "transformer.wpe.weight": [12, 16],
    "transformer.h.0.ln_1.weight": [16],
    "transformer.h.0.ln_1.bias": [16],
    "transformer.h.0.attn.c_attn.weight": [16, 48],
    "transformer.h.0.attn.c_attn.bias": [48],
    "transformer.h.0.attn.c_proj.weight": [16, 16],
    "transformer.h.0.attn.c_proj.bias": [16],
    "transformer.h.0.ln_2.weight": [16],
    "transformer.h.0.ln_2.bias": [16],
    "transformer.h.0.mlp.c_fc.weight": [16, 64],
    "transformer.h.0.mlp.c_fc.bias": [64],
    "transformer.h.0.mlp.c_proj.weight": [64, 16],
    "transformer.h.0.mlp.c_proj.bias": [16],
    "transformer.ln_f.weight": [16],
    "transformer.ln_f.bias": [16],
  },
};
