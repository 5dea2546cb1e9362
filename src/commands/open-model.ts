import { type ExpandOptions, expandArchitecture } from "../architecture/expand.ts";
import { familiesFor } from "../architecture/families.ts";
import type { Architecture } from "../architecture/types.ts";
import { Report, SinterError } from "../errors.ts";
import { openModel } from "../model/folder.ts";
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
  const model = openModel({ ref }, { cacheDir }, report);
  printProblems("warning", report.warnings);
  report.throwIfErrors();
  if (model === undefined) throw new SinterError(report.errors);
  return model;
}

/** How one model is understood. @throws SinterError where it is not; warnings are printed. */
export function understandModel(model: Model, definitions: string | undefined): Architecture {
  const report = new Report();
  const options: ExpandOptions = { families: familiesFor([model], definitions, report) };
  const architecture = report.errors.length > 0 ? undefined : expandArchitecture(model, report, options);
  printProblems("warning", report.warnings);
  report.throwIfErrors();
  return architecture as Architecture;
}
