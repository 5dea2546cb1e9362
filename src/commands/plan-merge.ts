import { loadMergeConfig } from "../config/read.ts";
import { Report } from "../errors.ts";
import { buildPlan } from "../plan/build.ts";
import type { MergeOptions, MergePlan } from "../plan/types.ts";
import { printProblems } from "./terminal.ts";

/**
 * From a configuration file to a plan. Warnings are printed, also where errors follow.
 * @param outputName the name of the output folder: the title of the model card.
 * @param report keeps the warnings and errors, too.
 * @throws SinterError with everything that is wrong.
 */
export function planMerge(
  config: string,
  outputName: string,
  options: MergeOptions,
  report: Report = new Report(),
): MergePlan {
  try {
    const read = loadMergeConfig(config, { strict: options.strict }, report);
    const plan = buildPlan(read, options, outputName, report);
    report.throwIfErrors();
    return plan;
  } finally {
    printProblems("warning", report.warnings);
  }
}
