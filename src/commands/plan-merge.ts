import { describedFamilies } from "../architecture/families.ts";
import { BUILT_IN } from "../architecture/registry.ts";
import { moduleFolders } from "../architecture/subfolders.ts";
import { loadMergeConfig } from "../config/read.ts";
import { Report } from "../errors.ts";
import type { FoldersOf } from "../model/missing.ts";
import { buildPlan, checkRecipe } from "../plan/build.ts";
import type { MergeOptions, MergePlan } from "../plan/types.ts";
import { type FetchPolicy, fetchModels } from "./fetch-models.ts";
import { printProblems } from "./terminal.ts";

/**
 * From a configuration file to a plan; models on the Hub are fetched on the way. Warnings are printed, also where errors
 * follow.
 * @param outputName the name of the output folder: the title of the model card.
 * @param models what to do about models that are not here; its `check` is asked after the configuration's own.
 * @param report keeps the warnings and errors, too.
 * @throws SinterError with everything that is wrong.
 */
export async function planMerge(
  config: string,
  outputName: string,
  options: MergeOptions,
  models: FetchPolicy,
  report: Report = new Report(),
): Promise<MergePlan> {
  try {
    const read = loadMergeConfig(config, { strict: options.strict }, report);
    const check = (into: Report) => {
      // Its warnings come again when the plan is built.
      const found = new Report();
      checkRecipe(read, options, found);
      for (const problem of found.errors) into.error(problem);
      models.check(into);
    };
    const foldersOf = moduleFoldersOf(options.architectures);
    await fetchModels(read, options.cacheDir, { ...models, check, foldersOf }, report);
    const plan = buildPlan(read, options, outputName, report);
    report.throwIfErrors();
    return plan;
  } finally {
    printProblems("warning", report.warnings);
  }
}

/** The folders of a model's modules, as the user's definitions of families say. Sinter's own families have none. */
function moduleFoldersOf(definitions: string | undefined): FoldersOf {
  return ({ architectures, model_type: type }) => {
    // What is wrong with the definitions is reported when the models are opened.
    const families = describedFamilies(definitions, new Report());
    if (families === BUILT_IN) return [];
    return moduleFolders(Array.isArray(architectures) ? String(architectures[0]) : undefined, type, families);
  };
}
