import { resolve } from "node:path";
import { type MultiConfig, readMultiConfig } from "../../config/multi.ts";
import { readConfigText } from "../../config/read.ts";
import { Report } from "../../errors.ts";
import type { OpenNamed } from "../../lora/open.ts";
import { checkRecipe } from "../../plan/build.ts";
import { planText } from "../../plan/print.ts";
import type { MergeOptions } from "../../plan/types.ts";
import { allModels } from "../../recipes/merge-graph.ts";
import { type PlannedMerge, planMulti } from "../../recipes/multi-plan.ts";
import { checkOutput, inspectOutput } from "../../run/output.ts";
import { type Standing, standingOf } from "../../run/standing.ts";
import { events } from "../events.ts";
import { carryOut, type RunRequest } from "../execute-merge.ts";
import { fetchModels } from "../fetch-models.ts";
import type { LoraCache } from "../lora-cache.ts";
import type { OptionValues } from "../option.ts";
import { UsageError } from "../parse.ts";
import { print, printProblems, writeError } from "../terminal.ts";
import type { MULTI_OPTIONS } from "./multi.ts";

/** Several merges of one file. */
export interface MultiRequest extends Omit<RunRequest, "out"> {
  config: string;
  options: MergeOptions;
  loraCache?: LoraCache | undefined;
  values: OptionValues<typeof MULTI_OPTIONS>;
  /** Print the plans and stop. */
  dryRun: boolean;
}

/** Plans all merges, then carries out those that are not there yet. @returns the exit code. */
export async function runMulti(request: MultiRequest): Promise<number> {
  const { values, options } = request;
  const { intermediateDir } = values;
  if (intermediateDir === undefined) {
    throw new UsageError({ code: "missing-option", message: "Missing option --intermediate-dir, -I" });
  }
  const report = new Report();
  let merges: readonly PlannedMerge[];
  try {
    const text = readConfigText(request.config);
    const multi = readMultiConfig(text, request.config, { strict: options.strict }, report);
    checkFinal(multi, values.outPath, report);
    await fetchAll(multi, request, report);
    const folders = { intermediate: intermediateDir, out: values.outPath ?? "merged" };
    merges = planMulti(multi, options, folders, report, await cachedAdapters(multi, request));
  } finally {
    printProblems("warning", report.warnings);
  }
  const steps = stepsOf(merges, values.lazy);
  checkFolders(steps, request, report);
  report.throwIfErrors();
  if (request.dryRun) await print(steps.map(dryRunText).join("\n"));
  else for (const step of steps) await carryOutStep(step, request);
  events()?.summary({ merges: steps.map(({ merge }) => ({ name: merge.name ?? null, folder: merge.folder })) });
  return 0;
}

/** A merge, and why it is done or not. */
interface Step {
  merge: PlannedMerge;
  standing: Standing;
  /** A merge that it is made of is done again. */
  behind: string | undefined;
}

function stepsOf(merges: readonly PlannedMerge[], lazy: boolean): Step[] {
  const steps: Step[] = [];
  for (const merge of merges) {
    const standing = standingOf(merge.plan, merge.folder);
    const redone = merge.needs.map((index) => steps[index] as Step).find((step) => isDone(step) === false);
    const told = lazy
      ? standing
      : standing.kind === "done"
        ? { kind: "stale" as const, reason: "--no-lazy" }
        : standing;
    steps.push({ merge, standing: told, behind: redone && titleOf(redone.merge) });
  }
  return steps;
}

function isDone({ standing, behind }: Step): boolean {
  return standing.kind === "done" && behind === undefined;
}

function titleOf({ name }: PlannedMerge): string {
  return name ?? "the final merge";
}

/** What will happen, in a sentence. */
function outlook(step: Step): string {
  const { merge, standing, behind } = step;
  if (isDone(step)) return `${titleOf(merge)}: finished earlier, taken as it is (${merge.folder})`;
  if (standing.kind === "stale") return `${titleOf(merge)}: done again, because ${standing.reason}`;
  if (standing.kind === "done") return `${titleOf(merge)}: done again, because ${behind} is`;
  return `${titleOf(merge)}: to be done`;
}

function dryRunText(step: Step): string {
  return `${outlook(step)}\n${planText(step.merge.plan)}`;
}

async function carryOutStep(step: Step, { run, engine, messages }: MultiRequest): Promise<void> {
  const { plan, folder } = step.merge;
  if (!messages.quiet && (isDone(step) || step.standing.kind !== "absent")) writeError(`${outlook(step)}\n`);
  events()?.event("step", { title: outlook(step) });
  if (isDone(step)) return;
  const force = mayReplace(step, run.force);
  await carryOut(plan, { out: folder, run: { ...run, force }, engine, messages, isPart: true });
}

/** An intermediate model that Sinter wrote is its own to write again. */
function mayReplace({ merge, standing }: Step, force: boolean): boolean {
  return force || (merge.name !== undefined && standing.kind !== "absent");
}

function checkFolders(steps: readonly Step[], { run }: MultiRequest, report: Report): void {
  const final = steps.find(({ merge }) => merge.name === undefined)?.merge;
  for (const step of steps) {
    const { plan, folder, name } = step.merge;
    if (name !== undefined && final?.folder === folder) {
      const message = `--out-path is the folder of the merge ${name}`;
      report.error({ code: "output-is-input", message, path: folder, hint: "choose another output folder" });
    }
    if (!isDone(step)) inspectOutput(plan, folder, mayReplace(step, run.force), report);
  }
}

function checkFinal({ merges }: MultiConfig, out: string | undefined, report: Report): void {
  const final = merges.find(({ name }) => name === undefined);
  if (final !== undefined && out === undefined) {
    const { file, line } = final.at;
    throw new UsageError({
      code: "missing-option",
      message: `--out-path is needed: the merge in line ${line} of ${file} has no name, and so no folder`,
    });
  }
  if (final === undefined && out !== undefined) {
    const message = `nothing is written to ${resolve(out)}: every merge has a name`;
    report.warn({ code: "out-path-unused", message, hint: "leave out the name of the final merge" });
  }
}

/** Models whose adapters are applied in the cache that was asked for: not those that the merges make. */
async function cachedAdapters(multi: MultiConfig, request: MultiRequest): Promise<OpenNamed | undefined> {
  if (request.loraCache === undefined || request.dryRun) return undefined;
  const { openThroughCache } = await import("../lora-cache.ts");
  return await openThroughCache(
    givenModels(multi).map(({ ref }) => ref),
    request,
  );
}

function givenModels({ merges }: MultiConfig) {
  const names = new Set(merges.map(({ name }) => name));
  return merges.flatMap(({ config }) => allModels(config)).filter(({ ref }) => !names.has(ref.model.path));
}

async function fetchAll(multi: MultiConfig, request: MultiRequest, report: Report): Promise<void> {
  const { options, messages, values, run } = request;
  const check = (into: Report) => {
    const found = new Report();
    for (const { config } of multi.merges) checkRecipe(config, options, found);
    for (const problem of found.errors) into.error(problem);
    if (values.outPath !== undefined) checkOutput(values.outPath, run.force, into);
  };
  const download = !request.dryRun;
  await fetchModels(givenModels(multi), options.cacheDir, { download, quiet: messages.quiet, check }, report);
}
