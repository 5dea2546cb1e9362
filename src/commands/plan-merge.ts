import { existsSync } from "node:fs";
import { loadMergeConfig, readMergeConfig } from "../config/read.ts";
import type { MergeConfig } from "../config/types.ts";
import { Report } from "../errors.ts";
import { buildPlan, checkRecipe } from "../plan/build.ts";
import { neededModels, type OpenModel } from "../plan/models.ts";
import type { MergeOptions, MergePlan, RawTensors } from "../plan/types.ts";
import { type FetchPolicy, fetchModels } from "./fetch-models.ts";
import { printProblems } from "./terminal.ts";

/** A configuration: the path of a file, or a text and what messages call it. */
export type ConfigSource = string | { text: string; name: string };

/** What is to be planned. */
export interface PlanSource {
  config: ConfigSource;
  options: MergeOptions;
  /** By the tensors' names, of files that need no config.json; undefined: models of known families. */
  raw?: RawTensors | undefined;
}

/**
 * From a configuration to a plan; models on the Hub are fetched on the way. Warnings are printed, also where errors
 * follow.
 * @param outputName the name of the output folder: the title of the model card.
 * @param models what to do about models that are not here; its `check` is asked after the configuration's own.
 * @param report keeps the warnings and errors, too.
 * @param prepare what else is done before models are opened; it may give another way to open them.
 * @throws SinterError with everything that is wrong.
 */
export async function planMerge(
  source: PlanSource,
  outputName: string,
  models: FetchPolicy,
  report: Report = new Report(),
  prepare: (config: MergeConfig) => Promise<OpenModel | undefined> = async () => undefined,
): Promise<MergePlan> {
  try {
    return await planSource(source, outputName, models, report, prepare);
  } finally {
    printProblems("warning", report.warnings);
  }
}

/** The same without a word: warnings are in the report. @throws SinterError with everything that is wrong. */
export async function planSource(
  { config, options, raw }: PlanSource,
  outputName: string,
  models: FetchPolicy,
  report: Report,
  prepare: (config: MergeConfig) => Promise<OpenModel | undefined> = async () => undefined,
): Promise<MergePlan> {
  const read = readConfig(config, options.strict, raw !== undefined, report);
  if (raw !== undefined) {
    const { buildRawPlan } = await import("../plan/raw.ts");
    const open = await prepare(read);
    const plan = buildRawPlan(read, options, raw, report, open);
    report.throwIfErrors();
    return plan;
  }
  const check = (into: Report) => {
    // Its warnings come again when the plan is built.
    const found = new Report();
    checkRecipe(read, options, found);
    for (const problem of found.errors) into.error(problem);
    models.check(into);
  };
  const policy = { ...models, check, definitions: options.architectures };
  await fetchModels(neededModels(read).values(), options.cacheDir, policy, report);
  const plan = buildPlan(read, options, outputName, report, await prepare(read));
  report.throwIfErrors();
  return plan;
}

function readConfig(config: ConfigSource, strict: boolean, raw: boolean, report: Report): MergeConfig {
  // Names of checkpoints hold "+" and "@" as they please.
  const options = { strict, isPath: raw ? existsSync : undefined };
  return typeof config === "string"
    ? loadMergeConfig(config, options, report)
    : readMergeConfig(config.text, config.name, options, report);
}
