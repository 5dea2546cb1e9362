import { loadMergeConfig } from "../config/read.ts";
import type { MergeConfig } from "../config/types.ts";
import { Report } from "../errors.ts";
import { buildPlan, checkRecipe } from "../plan/build.ts";
import { namedModels, type OpenModel } from "../plan/models.ts";
import type { MergeOptions, MergePlan } from "../plan/types.ts";
import { type FetchPolicy, fetchModels } from "./fetch-models.ts";
import { printProblems } from "./terminal.ts";

/**
 * From a configuration file to a plan; models on the Hub are fetched on the way. Warnings are printed, also where errors
 * follow.
 * @param outputName the name of the output folder: the title of the model card.
 * @param models what to do about models that are not here; its `check` is asked after the configuration's own.
 * @param report keeps the warnings and errors, too.
 * @param prepare what else is done before models are opened; it may give another way to open them.
 * @throws SinterError with everything that is wrong.
 */
export async function planMerge(
  config: string,
  outputName: string,
  options: MergeOptions,
  models: FetchPolicy,
  report: Report = new Report(),
  prepare: (config: MergeConfig) => Promise<OpenModel | undefined> = async () => undefined,
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
    await fetchModels(namedModels(read).values(), options.cacheDir, { ...models, check }, report);
    const plan = buildPlan(read, options, outputName, report, await prepare(read));
    report.throwIfErrors();
    return plan;
  } finally {
    printProblems("warning", report.warnings);
  }
}
