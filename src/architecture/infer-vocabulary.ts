import type { Model } from "../model/types.ts";
import { configValue } from "./config-values.ts";

/** Embedding and heads of a model that no family describes. */
export interface Vocabulary {
  /** The key of config.json that holds the number of rows. */
  key: string;
  embedding: string | undefined;
  /** Stored tensors with a row per token that come after the layers. */
  heads: readonly string[];
  /** The name of a head that no model stores, because it is the embedding. */
  absentHead: string | undefined;
}

const KEYS = ["vocab_size", "text_config.vocab_size", "llm_config.vocab_size", "padded_vocab_size"] as const;
const EMBEDDING = /embed|\bwte\b|\bshared\b|word_emb/;
const HEAD = /lm_head|(^|\.)head\b|(^|\.)output\.|embed_out|proj_out|output_layer|predictions\.decoder|lm_loss/;
/** Positions may be as many as tokens. */
const NEITHER = /position|\bwpe\b|token_type|per_layer/;

/** From names, and from shapes: a row per token. */
export function inferVocabulary(models: readonly [Model, ...Model[]]): Vocabulary {
  const [{ config, architecture }] = models;
  const key = KEYS.find((one) => typeof configValue(config, one) === "number") ?? KEYS[0];
  const names = new Set(
    models.flatMap((model) => [...model.tensors.keys()].filter((name) => hasRows(model, name, key))),
  );
  const candidates = [...names].filter((name) => !NEITHER.test(name));
  const embedding = candidates.find((name) => EMBEDDING.test(name) && !/embed_out/.test(name));
  const heads = candidates.filter((name) => name !== embedding && HEAD.test(name) && !/embed_tokens/.test(name));
  const expectsHead = /ForCausalLM|LMHead|ForConditionalGeneration/.test(architecture ?? "");
  const matrices = heads.filter((name) => models.some(({ tensors }) => tensors.get(name)?.shape.length === 2));
  const absent = embedding !== undefined && matrices.length === 0 && expectsHead && isTied(config);
  return { key, embedding, heads, absentHead: absent ? headBeside(embedding) : undefined };
}

function hasRows(model: Model, name: string, key: string): boolean {
  const shape = model.tensors.get(name)?.shape;
  return shape !== undefined && shape[0] === configValue(model.config, key) && shape.length <= 2;
}

/** Tied unless config.json says otherwise: that is what transformers takes where it says nothing. */
function isTied(config: Model["config"]): boolean {
  const said = configValue(config, "tie_word_embeddings") ?? configValue(config, "text_config.tie_word_embeddings");
  return said !== false;
}

/** Where transformers' classes have their head: outside what they call `model`. */
function headBeside(embedding: string): string {
  const at = embedding.indexOf("language_model.model.");
  return at < 0 ? "lm_head.weight" : `${embedding.slice(0, at)}language_model.lm_head.weight`;
}
