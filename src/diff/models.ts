import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { expandArchitecture } from "../architecture/expand.ts";
import { familiesFor } from "../architecture/families.ts";
import { familiesAgree, isPartOf } from "../architecture/modules.ts";
import { withSubfolders } from "../architecture/subfolders.ts";
import type { Architecture } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import { openRawReference, openReference } from "../lora/open.ts";
import { expandHome } from "../model/hub-cache.ts";
import type { ModelRef } from "../model/ref.ts";
import type { Model } from "../model/types.ts";
import { settleLayout } from "../plan/model-layout.ts";

/** A model to compare; without an architecture its tensors go by their names. */
export interface DiffModel {
  model: Model;
  architecture: Architecture | undefined;
}

export interface OpenOptions {
  cacheDir: string | undefined;
  /** The user's definitions of families. */
  architectures: string | undefined;
}

/**
 * Opens models and says how their families lay them out: packed weights are taken apart where another model stores them
 * apart. Files of tensors, and folders without config.json, have no architecture; nor has any model beside one of these.
 * @returns undefined where a model cannot be opened: then the report has an error.
 */
export function openForDiff(
  refs: readonly ModelRef[],
  options: OpenOptions,
  report: Report,
): readonly DiffModel[] | undefined {
  const raw = refs.some(isRaw);
  const opened = refs.map((ref) =>
    raw ? openRawReference({ ref }, options, report) : openReference({ ref }, options, report),
  );
  if (!opened.every((model) => model !== undefined)) return undefined;
  const found = opened as readonly Model[];
  if (raw) return found.map((model) => ({ model, architecture: undefined }));
  const expand = { families: familiesFor(found, options.architectures, report), shared: new Map() };
  const models = new Map<
    string,
    { model: Model; architecture: Architecture; at: { file: string; line: number; column: number } }
  >();
  for (const [i, one] of found.entries()) {
    const model = withSubfolders(one, expand.families, report);
    const architecture = model && expandArchitecture(model, report, expand);
    if (model === undefined || architecture === undefined) return undefined;
    models.set(String(i), { model, architecture, at: { file: "command line", line: 1, column: 1 } });
  }
  const settled = settleLayout(models, "0", { ...expand, allowCrimes: true }, report);
  return settled && [...settled.models.values()].map(({ model, architecture }) => ({ model, architecture }));
}

/** Whether two models can be compared weight by weight, as their families say. */
export function comparable(a: DiffModel, b: DiffModel): boolean {
  if (a.architecture === undefined || b.architecture === undefined) return false;
  return (
    familiesAgree(a.architecture, b.architecture) ||
    isPartOf(a.architecture, b.architecture) ||
    isPartOf(b.architecture, a.architecture)
  );
}

function isRaw({ model: { path } }: ModelRef): boolean {
  const local = resolve(expandHome(path));
  if (!existsSync(local)) return false;
  return !statSync(local).isDirectory() || !existsSync(join(local, "config.json"));
}
