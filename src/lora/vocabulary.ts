import { join } from "node:path";
import { configValue } from "../architecture/config-values.ts";
import { isObject } from "../model/json-file.ts";
import { type Model, sideFilePath, type TensorView } from "../model/types.ts";
import type { Places } from "./places.ts";
import type { Adapter } from "./types.ts";

const TOKENIZER = /^(tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab\..*|merges\.txt|chat_template\..*)$/;

/**
 * An adapter that adds tokens holds whole embeddings with more rows: config.json then says so, and the tokenizer that
 * lies beside the adapter is the model's.
 */
export function grownVocabulary(
  model: Model,
  tensors: ReadonlyMap<string, TensorView>,
  adapter: Adapter,
  places: Places,
): Partial<Model> {
  const grown = [...tensors].find(([name, { shape }]) => {
    const before = model.tensors.get(name)?.shape;
    return before !== undefined && shape.length === 2 && shape[0] !== before[0];
  });
  if (grown === undefined) return {};
  const key = places.architecture()?.keys.vocabSize;
  const rows = grown[1].shape[0];
  const config =
    key === undefined || configValue(model.config, key) === rows
      ? model.config
      : withValue(model.config, key.split("."), rows);
  const own = adapter.sideFiles.filter((name) => TOKENIZER.test(name));
  if (own.length === 0) return { config };
  const kept = model.sideFiles.filter((name) => !TOKENIZER.test(name));
  const elsewhere = new Map([
    ...kept.map((name) => [name, sideFilePath(model, name)] as const),
    ...own.map((name) => [name, join(adapter.dir, name)] as const),
  ]);
  return { config, sideFiles: [...kept, ...own], sideFilePaths: elsewhere };
}

function withValue(
  config: Readonly<Record<string, unknown>>,
  [key = "", ...rest]: readonly string[],
  value: unknown,
): Record<string, unknown> {
  const inner = config[key];
  return { ...config, [key]: rest.length === 0 ? value : withValue(isObject(inner) ? inner : {}, rest, value) };
}
