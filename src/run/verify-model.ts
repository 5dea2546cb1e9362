import { existsSync } from "node:fs";
import { join } from "node:path";
import { configValue } from "../architecture/config-values.ts";
import { expandArchitecture } from "../architecture/expand.ts";
import { familiesFor } from "../architecture/families.ts";
import { resolveWeight, weightSpecs } from "../architecture/resolve.ts";
import { withSubfolders } from "../architecture/subfolders.ts";
import type { Architecture } from "../architecture/types.ts";
import { Report } from "../errors.ts";
import { openModel } from "../model/folder.ts";
import type { Model } from "../model/types.ts";
import { someOf } from "../plan/copies.ts";
import { largestTokenId } from "../plan/vocabulary.ts";

/** What a folder is as a model, in a few words for the user. */
export interface ModelFacts {
  family: string;
  tied: boolean;
  /** Rows of the embedding, and the tokenizer's largest id. */
  rows: number | undefined;
  largestId: number | undefined;
}

/**
 * Opens a folder as its config.json says and reports what would keep it from loading or from working: weights that its
 * family wants and nobody stored, a head that is stored although it is tied (or not, although it is not), an embedding
 * that is not as long as config.json says or too short for the tokenizer.
 * @returns undefined where the folder has no config.json (it is no model but tensors), or where it cannot be read: then
 *   the report has an error.
 */
export function checkModel(folder: string, definitions: string | undefined, report: Report): ModelFacts | undefined {
  if (!existsSync(join(folder, "config.json"))) return undefined;
  const found = new Report();
  const opened = openModel({ ref: { model: { path: folder } } }, { cacheDir: undefined }, found);
  const families = opened && familiesFor([opened], definitions, found);
  const model = opened && families && withSubfolders(opened, families, found);
  const architecture = model && families && expandArchitecture(model, found, { families });
  for (const problem of found.errors) report.error(problem);
  if (model === undefined || architecture === undefined) return undefined;
  checkWeights(model, architecture, report);
  return checkVocabulary(model, architecture, report);
}

function checkWeights(model: Model, architecture: Architecture, report: Report): void {
  const missing: string[] = [];
  for (const spec of weightSpecs(architecture)) {
    const resolution = resolveWeight(spec, model, architecture);
    if (resolution === undefined && !spec.optional) missing.push(spec.name);
    if (resolution === undefined || spec.role !== "head" || spec.tie === undefined) continue;
    const stored = resolution.via !== "tie";
    if (stored === !architecture.tied) continue;
    const message = stored
      ? "config.json says that this tensor is tied, and the file stores one: loaders drop it"
      : "config.json says that this tensor is not tied, and the file stores none";
    report.error({ code: "tie", message, tensor: spec.name });
  }
  if (missing.length === 0) return;
  report.error({
    code: "missing-tensor",
    message: `weights that ${architecture.family} has are missing: ${someOf(missing)}`,
  });
}

function checkVocabulary(model: Model, architecture: Architecture, report: Report): ModelFacts {
  const embedding = weightSpecs(architecture).find(({ role }) => role === "embedding");
  const rows = embedding && resolveWeight(embedding, model, architecture)?.view.shape[0];
  const size = configValue(model.config, architecture.keys.vocabSize);
  const largestId = largestTokenId(model);
  if (rows !== undefined && typeof size === "number" && size !== rows) {
    const message = `the embedding has ${rows} rows, and config.json says ${size}`;
    report.error({ code: "vocabulary-rows", message, tensor: embedding?.name });
  }
  if (rows !== undefined && largestId !== undefined && largestId >= rows) {
    const message = `the tokenizer uses ids up to ${largestId}, and the embedding has ${rows} rows`;
    report.error({ code: "tokenizer-rows", message, tensor: embedding?.name });
  }
  return { family: architecture.family, tied: architecture.tied, rows, largestId };
}
