import { basename, resolve } from "node:path";
import type { MergeConfig } from "../config/types.ts";
import { Report, SinterError } from "../errors.ts";
import { type Addon, type CpuTarget, native } from "../native.ts";
import { namedModels, type OpenModel } from "../plan/models.ts";
import type { MergeOptions, MergePlan } from "../plan/types.ts";
import type { DeviceRequest } from "../run/devices.ts";
import { checkOutput } from "../run/output.ts";
import type { ProgressDisplay } from "../run/progress.ts";
import { runPlan } from "../run/run.ts";
import { withSignals } from "../run/signals.ts";
import type { RunEvents, RunOptions, RunResult } from "../run/types.ts";
import type { Beginning } from "../run/unfinished.ts";
import { formatBytes, formatSeconds } from "../run/units.ts";
import type { CheckOutcome } from "./check-merge.ts";
import { events } from "./events.ts";
import type { LoraCache } from "./lora-cache.ts";
import { type PlanSource, planMerge } from "./plan-merge.ts";
import { shownProgress } from "./progress.ts";
import { print, printProblems, printSummary, writeError } from "./terminal.ts";

/** One merge, whichever command asked for it. */
export interface MergeRequest extends PlanSource, RunRequest {
  /** Where models are written with their adapters applied; undefined: adapters are applied as tensors are read. */
  loraCache?: LoraCache | undefined;
}

/** How a plan is carried out, and what is said of it. */
export interface RunRequest {
  out: string;
  run: Pick<RunOptions, "force" | "resume" | "nan" | "sync">;
  /** `threads` 0: one per CPU. `memory`: bytes of scratch beyond what is free. `device`: what may compute besides the CPU. */
  engine: { threads: number; target: CpuTarget | "auto"; memory?: number; device?: DeviceRequest | undefined };
  messages: {
    /** Neither progress nor summary. */
    quiet: boolean;
    /** The summary as JSON. */
    json: boolean;
    /** Print the plan before the work starts. */
    plan: boolean;
  };
  /** Whether it is one of several merges of a command. */
  isPart?: boolean | undefined;
  /** The file of a page on what the merge did. */
  report?: string | undefined;
  /** Run a text through the result and its parents, opened with these options. */
  checkWith?: MergeOptions | undefined;
}

/**
 * Reads the configuration, plans, computes and writes; prints warnings, progress and a summary.
 * @returns the exit code. @throws SinterError with everything that is wrong.
 */
export async function executeMerge(request: MergeRequest): Promise<number> {
  if (request.report !== undefined) (await import("./page-file.ts")).checkPageFile(request.report);
  const models = {
    download: true,
    quiet: request.messages.quiet,
    check: (report: Report) => checkOutput(request.out, request.run.force, report),
  };
  const prepare = request.loraCache && ((config: MergeConfig) => cacheAdapters(config, request));
  const name = basename(resolve(request.out));
  const plan = await planMerge(request, name, models, new Report(), prepare);
  return await carryOut(plan, request);
}

/**
 * Computes and writes what a plan says; prints warnings of the run, progress and a summary.
 * @returns the exit code. @throws SinterError with everything that is wrong.
 */
export async function carryOut(plan: MergePlan, request: RunRequest): Promise<number> {
  if (request.messages.plan) {
    const { planText } = await import("../plan/print.ts");
    writeError(planText(plan));
  }
  events()?.event("plan", planFacts(plan));
  const { checkWith } = request;
  const check = checkWith && { ...(await import("./check-merge.ts")), options: checkWith };
  check?.requireCheckable(plan, check.options);
  const addon = loadAddon(request.engine);
  const { device } = request.engine;
  const devices = device && (await import("../run/devices.ts")).useDevices(device, addon);
  const display = displayOf(request);
  const result = await withSignals((signal) =>
    runPlan(plan, request.out, { ...request.run, devices, signal }, addon, display).finally(() => display.end()),
  ).finally(() => addon.useDevices());
  printProblems("warning", result.warnings);
  const { json, quiet } = request.messages;
  if (!json && !quiet) await print(summaryText(plan, result));
  if (request.report !== undefined) await report(plan, request.report, request, result, addon);
  const outcome =
    check &&
    (await withSignals(
      (signal) => check.checkMerge(plan, request.out, check.options, addon, signal),
      undefined,
      "the merge is done, but was not checked",
    ));
  const summary = summaryOf(plan, result, outcome);
  if (request.isPart) events()?.event("output", { summary });
  await printSummary(summary, "", json);
  if (outcome === undefined) return 0;
  if (!json) writeError(outcome.text);
  if (outcome.broken) printProblems("warning", [outcome.broken]);
  return outcome.broken ? outcome.exitCode : 0;
}

function tellBeginning(beginning: Beginning, quiet: boolean): void {
  if (beginning.kind === "restarted") {
    const message = "begins anew: the work of an interrupted merge in the output folder is of no use";
    printProblems("warning", [{ code: "not-resumed", message, hint: beginning.reasons.join("; ") }]);
  } else if (beginning.kind === "resumed" && !quiet) {
    const { tensors, bytes } = beginning;
    writeError(
      `goes on from an interrupted run: ${tensors} tensors (${formatBytes(bytes)}) are checked, not computed\n`,
    );
  }
}

async function report(
  plan: MergePlan,
  html: string,
  { messages }: RunRequest,
  { folder, seconds, bytesRead, bytesWritten }: RunResult,
  addon: Addon,
): Promise<void> {
  const { writeReport } = await import("./execute-report.ts");
  const { threads, target } = addon.info();
  const speed = { seconds, bytesRead, bytesWritten, threads, target };
  await writeReport({ plan, folder, html, quiet: messages.quiet, speed }, addon);
}

/** Shows how far a run is, and how it began. */
export function displayOf({ messages }: Pick<RunRequest, "messages">): ProgressDisplay & Pick<RunEvents, "begun"> {
  const begun = (beginning: Beginning) => tellBeginning(beginning, messages.quiet);
  return { ...shownProgress(messages.quiet), begun };
}

/** Applies adapters to their models in the cache that was asked for. */
async function cacheAdapters(config: MergeConfig, request: MergeRequest): Promise<OpenModel | undefined> {
  const refs = [...namedModels(config).values()].map(({ ref }) => ref);
  if (request.loraCache === undefined || refs.every(({ lora }) => lora === undefined)) return undefined;
  const { openThroughCache } = await import("./lora-cache.ts");
  return await openThroughCache(refs, request, request.raw !== undefined);
}

/** @throws SinterError where the addon does not load or this CPU lacks the instruction set. */
export function loadAddon({ threads, target, memory = 0 }: RunRequest["engine"]): Addon {
  const addon = loadedAddon();
  const { targets } = addon.info();
  if (target !== "auto" && !targets.includes(target)) {
    const message = `this CPU does not run ${target}`;
    throw new SinterError({ code: "cpu-target", message, hint: `--cpu-target takes auto, ${targets.join(", ")}` });
  }
  addon.configure({ threads, target, memory });
  return addon;
}

function loadedAddon(): Addon {
  try {
    return native();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new SinterError({ code: "addon", message });
  }
}

function summaryText(plan: MergePlan, result: RunResult): string {
  const bytes = result.bytesRead + result.bytesWritten;
  const rate = formatBytes(bytes / Math.max(result.seconds, 1e-3));
  return (
    `${result.folder}: ${plan.totals.tensors} tensors, ${formatBytes(result.bytesWritten)} written and ` +
    `${formatBytes(result.bytesRead)} read in ${formatSeconds(result.seconds)} (${rate}/s)${devicesText(result)}\n`
  );
}

/** What the devices did, where any did. */
function devicesText({ computedOn, directBytes }: RunResult): string {
  const devices = [...computedOn].filter(([name]) => name !== "cpu");
  const direct = directBytes === 0 ? "" : `; ${formatBytes(directBytes)} read straight into GPU memory`;
  return devices.map(([name, tensors]) => `; ${tensors} on ${name}`).join("") + direct;
}

function planFacts(plan: MergePlan) {
  const { tensors, parameters, bytesRead, bytesWritten } = plan.totals;
  return {
    method: plan.method,
    models: plan.models,
    seed: plan.seed,
    tensors,
    parameters,
    bytes_read: bytesRead,
    bytes_written: bytesWritten,
    files: plan.shards.map((shard) => shard.file),
  };
}

function summaryOf(plan: MergePlan, result: RunResult, check: CheckOutcome | undefined) {
  return {
    folder: result.folder,
    method: plan.method,
    seed: plan.seed,
    tensors: plan.totals.tensors,
    parameters: plan.totals.parameters,
    seconds: result.seconds,
    bytes_read: result.bytesRead,
    bytes_written: result.bytesWritten,
    computed_on: Object.fromEntries(result.computedOn),
    bytes_read_directly: result.directBytes,
    files: plan.shards.map((shard) => shard.file),
    warnings: [...plan.warnings, ...result.warnings],
    ...(check === undefined ? {} : { check: check.rows }),
  };
}
