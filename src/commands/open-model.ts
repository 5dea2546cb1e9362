import { expandArchitecture } from "../architecture/expand.ts";
import { familiesFor } from "../architecture/families.ts";
import { withSubfolders } from "../architecture/subfolders.ts";
import type { Architecture } from "../architecture/types.ts";
import { Report, SinterError } from "../errors.ts";
import { openReference } from "../lora/open.ts";
import { parseModelRef } from "../model/ref.ts";
import type { Model } from "../model/types.ts";
import { UsageError } from "./parse.ts";
import { printProblems } from "./terminal.ts";

/**
 * Opens one model that a command line names.
 * @throws SinterError where that fails; warnings are printed.
 */
export function openNamedModel(text: string, cacheDir: string | undefined): Model {
  const ref = parseModelRef(text);
  if (typeof ref === "string") throw new UsageError({ code: "bad-model", message: ref });
  const report = new Report();
  const model = openReference({ ref }, { cacheDir }, report);
  printProblems("warning", report.warnings);
  report.throwIfErrors();
  if (model === undefined) throw new SinterError(report.errors);
  return model;
}

/** A model, its parts in other folders included, and how it is understood. Warnings are printed. @throws SinterError */
export function understandModel(
  found: Model,
  definitions: string | undefined,
): { model: Model; architecture: Architecture } {
  const report = new Report();
  const families = familiesFor([found], definitions, report);
  const model = report.errors.length > 0 ? undefined : withSubfolders(found, families, report);
  const architecture = model && expandArchitecture(model, report, { families });
  printProblems("warning", report.warnings);
  report.throwIfErrors();
  return { model: model as Model, architecture: architecture as Architecture };
}
