import { existsSync } from "node:fs";
import { spec as moe } from "../../src/commands/compat/mergekit-moe.ts";
import { spec } from "../../src/commands/compat/mergekit-yaml.ts";
import { parseCommandLine } from "../../src/commands/parse.ts";
import { loadMergeConfig } from "../../src/config/read.ts";
import { type Problem, Report, SinterError } from "../../src/errors.ts";
import { loadMixtureConfig } from "../../src/moe/config.ts";
import { gatesFromPrompts } from "../../src/moe/gates.ts";
import { type MixturePlan, planMixture } from "../../src/moe/plan.ts";
import { checkExperts } from "../../src/moe/prompt-check.ts";
import { withGates } from "../../src/moe/routers.ts";
import type { MixtureConfig } from "../../src/moe/types.ts";
import { native } from "../../src/native.ts";
import { buildPlan } from "../../src/plan/build.ts";
import { DEFAULT_OPTIONS, type MergeOptions, type MergePlan } from "../../src/plan/types.ts";
import { replan } from "../../src/recipes/replan.ts";
import { readManifest } from "../../src/run/manifest.ts";
import type { Execution } from "./execute.ts";

/** What a command line asks of the planner. */
export interface Request {
  config: string;
  options: MergeOptions;
}

/** Reads the arguments of `mergekit-yaml` by its own declaration. @throws SinterError for a wrong command line. */
export function readArguments(args: readonly string[]): Request {
  const parsed = parseCommandLine(spec, args);
  if (parsed.kind !== "run") throw new Error("the case asks for help");
  const { outShardSize, copyTokenizer, writeModelCard, safeSerialization, allowCrimes, randomSeed } = parsed.options;
  const options = { outShardSize, copyTokenizer, writeModelCard, safeSerialization, allowCrimes, seed: randomSeed };
  return { config: parsed.positionals[0] as string, options: { ...DEFAULT_OPTIONS, ...options } };
}

/** Plans what a command line asks for, in the current folder. @throws SinterError with what stands in the way. */
export function planned(args: readonly string[]): MergePlan {
  const { config, options } = readArguments(args);
  const report = new Report();
  return buildPlan(loadMergeConfig(config, { strict: options.strict }, report), options, "out", report);
}

/** Plans what a command line of `mergekit-moe` asks for. The numbers of routers that come from prompts are not in it. */
function plannedMixture(args: readonly string[], report: Report): MixturePlan & { config: MixtureConfig } {
  const parsed = parseCommandLine(moe, args);
  if (parsed.kind !== "run") throw new Error("the case asks for help");
  const { outShardSize, copyTokenizer, writeModelCard, safeSerialization, allowSame } = parsed.options;
  const config = loadMixtureConfig(parsed.positionals[0] as string, { strict: false }, report);
  checkExperts(config, allowSame, report);
  report.throwIfErrors();
  const options = { outShardSize, copyTokenizer, writeModelCard, safeSerialization, seed: parsed.options.randomSeed };
  const planned = planMixture(config, { ...DEFAULT_OPTIONS, ...options, expertLayout: "separate" }, "out", report);
  return { ...planned, config };
}

/** The plan of a program's command line, ready to run. @throws SinterError with what stands in the way. */
export async function runnable(program: string, args: readonly string[]): Promise<MergePlan> {
  if (program !== "mergekit-moe") return planned(args);
  const report = new Report();
  const { plan, config, models, routers } = plannedMixture(args, report);
  if (routers.length === 0) return plan;
  return withGates(plan, routers, await gatesFromPrompts(config, models, native(), report), config.experts.length);
}

/** The plan of a program that was run, or the problems that stand in its way. */
export function planOrProblems(program: string, execution: Execution): MergePlan | readonly Problem[] {
  const { args, exitCode, out } = execution;
  try {
    if (program === "mergekit-yaml") return planned(args);
    if (program === "mergekit-moe") return plannedMixture(args, new Report()).plan;
    // The others write a recipe: it is to give the plan again.
    return exitCode === 0 && existsSync(out) ? plannedAgain(out, args) : [];
  } catch (error) {
    if (error instanceof SinterError) return error.problems;
    throw error;
  }
}

/** From the recipe in the manifest of what was written. */
function plannedAgain(out: string, args: readonly string[]): MergePlan | readonly Problem[] {
  const report = new Report();
  const recipe = readManifest(out, report)?.recipe;
  if (recipe === undefined) return [];
  const intermediate = args[args.indexOf("--intermediate-dir") + 1];
  return replan(recipe, { cacheDir: undefined, intermediateDir: intermediate }, report);
}

/** What a program says when it lacks a feature, by the codes of its problems. */
const MISSING_FEATURE = /^(not-yet|unknown-architecture)/;

/** The features that Sinter says it does not have yet, in its words; empty where something else is wrong. */
export function missingFeatures(problems: readonly Problem[]): string[] {
  const missing = problems.filter(({ code }) => MISSING_FEATURE.test(code));
  return [...new Set(missing.map(({ message }) => featureOf(message)))];
}

function featureOf(message: string): string {
  return message
    .replace(/^not yet: /, "")
    .replace(/ is not available yet.*/, "")
    .replace(/^config\.json has (.*): no family .*/, "the family of $1")
    .replace(/ \(.*?\)/g, "");
}
