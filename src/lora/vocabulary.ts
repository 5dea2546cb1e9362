import { join } from "node:path";
import { configValue } from "../architecture/config-values.ts";
import type { Report } from "../errors.ts";
import type { ConfigEdits } from "../model/config-edits.ts";
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
  report: Report,
): { edits: ConfigEdits; files: Pick<Model, "sideFiles" | "sideFilePaths"> | undefined } {
  const grown = [...tensors].find(([name, { shape }]) => {
    const before = model.tensors.get(name)?.shape;
    return before !== undefined && shape.length === 2 && shape[0] !== before[0];
  });
  if (grown === undefined) return { edits: new Map(), files: undefined };
  const key = places.architecture()?.keys.vocabSize;
  const rows = grown[1].shape[0];
  const before = model.tensors.get(grown[0])?.shape[0];
  const left = [...tensors].find(
    ([name, { shape }]) => shape.length === 2 && shape[0] === before && places.architecture() && places.hasTokens(name),
  );
  if (left !== undefined) {
    report.error({
      code: "adapter-vocabulary",
      message: `the adapter's ${grown[0]} has ${rows} rows, and ${left[0]} has ${before}, as in ${model.ref.model.path}`,
      path: adapter.weightFiles[0]?.path,
      hint: "an adapter that adds tokens has to hold embedding and head",
    });
  }
  const isSaid = key === undefined || key === "" || configValue(model.config, key) === rows;
  const edits: ConfigEdits = isSaid ? new Map() : new Map([[key, rows]]);
  const own = adapter.sideFiles.filter((name) => TOKENIZER.test(name));
  if (own.length === 0) return { edits, files: undefined };
  const kept = model.sideFiles.filter((name) => !TOKENIZER.test(name));
  const elsewhere = new Map([
    ...kept.map((name) => [name, sideFilePath(model, name)] as const),
    ...own.map((name) => [name, join(adapter.dir, name)] as const),
  ]);
  return { edits, files: { sideFiles: [...kept, ...own], sideFilePaths: elsewhere } };
}
