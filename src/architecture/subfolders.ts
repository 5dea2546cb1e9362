import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Report } from "../errors.ts";
import { listFiles } from "../model/folder-files.ts";
import type { Model } from "../model/types.ts";
import { modelWeightFiles } from "../model/weight-files.ts";
import { readWeights } from "../model/weights.ts";
import type { Families } from "./registry.ts";

/** Names of folders, none of which leads out. */
const INSIDE = /^(?!\.+(\/|$))[^/\\]+(\/(?!\.+(\/|$))[^/\\]+)*$/;

/**
 * The model with the tensors of those of its modules that lie in folders of their own, each under the folder's name:
 * `text_encoder/model.norm.weight`.
 * @returns undefined where such a folder cannot be read: then the report has an error.
 */
export function withSubfolders(model: Model, families: Families, report: Report): Model | undefined {
  let whole: Model | undefined = model;
  const folders = moduleFolders(model.architecture, model.config.model_type, families);
  for (const folder of folders) whole = whole && addFolder(whole, folder, report);
  return whole;
}

/** The folders that modules of a class have for themselves. */
export function moduleFolders(architecture: string | undefined, modelType: unknown, families: Families): Set<string> {
  const family = families.find(architecture, modelType);
  const modules = family === undefined ? [] : Object.values(families.load(family).modules);
  return new Set(modules.flatMap((module) => ("subfolder" in module && module.subfolder ? [module.subfolder] : [])));
}

function addFolder(model: Model, folder: string, report: Report): Model | undefined {
  const dir = join(model.dir, folder);
  const found = INSIDE.test(folder) && existsSync(dir) ? modelWeightFiles(listFiles(dir)) : undefined;
  if (found === undefined) {
    const message = `the model has no weights in ${folder}, where its family has a module`;
    report.error({ code: "no-weights", message, model: model.name, path: dir });
    return undefined;
  }
  const weights = readWeights(dir, found, report);
  if (weights === undefined) return undefined;
  const tensors = [...weights.tensors].map(([name, view]) => [`${folder}/${name}`, view] as const);
  return {
    ...model,
    tensors: new Map([...model.tensors, ...tensors]),
    weightFiles: [...model.weightFiles, ...weights.files],
  };
}

/** Files in a module's folder that are no weights: its own config.json and the like. */
export function subfolderFiles(model: Model, folder: string): string[] {
  const weights = new Set(model.weightFiles.map(({ path }) => path));
  return listFiles(join(model.dir, folder)).filter(
    (name) => !weights.has(join(model.dir, folder, name)) && !name.endsWith(".index.json"),
  );
}
