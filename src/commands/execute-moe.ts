import { basename, resolve } from "node:path";
import { Report } from "../errors.ts";
import type { ModelRef } from "../model/ref.ts";
import { gatesFromPrompts } from "../moe/gates.ts";
import { withGates } from "../moe/routers.ts";
import type { MixtureOptions } from "../moe/types.ts";
import type { MergePlan } from "../plan/types.ts";
import { forwardDevice } from "../run/devices.ts";
import { checkOutput, inspectOutput } from "../run/output.ts";
import { withSignals } from "../run/signals.ts";
import { events } from "./events.ts";
import { carryOut, loadAddon, type MergeRequest } from "./execute-merge.ts";
import { planMixtureFile } from "./plan-moe.ts";
import { printProblems, writeError } from "./terminal.ts";

/** One mixture of experts, whichever command asked for it. */
export interface MixtureRequest extends Omit<MergeRequest, "options" | "config" | "raw"> {
  config: string;
  options: MixtureOptions;
  /** Experts may all be one model. */
  allowSame: boolean;
}

/**
 * Reads the configuration, plans, works the routers out from the prompts, and writes; prints warnings, progress and a
 * summary.
 * @returns the exit code. @throws SinterError with everything that is wrong.
 */
export async function executeMixture(request: MixtureRequest): Promise<number> {
  if (request.report !== undefined) (await import("./page-file.ts")).checkPageFile(request.report);
  const report = new Report();
  let plan: MergePlan;
  try {
    plan = await planWithRouters(request, report);
  } finally {
    printProblems("warning", report.warnings);
  }
  return await carryOut(plan, request);
}

async function planWithRouters(request: MixtureRequest, report: Report): Promise<MergePlan> {
  const { out, run, messages } = request;
  const policy = {
    download: true,
    quiet: messages.quiet,
    check: (into: Report) => checkOutput(out, run.force, into),
  };
  const prepare = async (refs: readonly ModelRef[]) =>
    request.loraCache && (await (await import("./lora-cache.ts")).openThroughCache(refs, request));
  const mixture = await planMixtureFile(request.config, basename(resolve(out)), request, policy, report, prepare);
  if (mixture.routers.length === 0) return mixture.plan;
  // Prompts may take a while: what stands against the output is said before.
  inspectOutput(mixture.plan, out, run.force, report);
  report.throwIfErrors();
  const { config, models, routers } = mixture;
  const addon = loadAddon(request.engine);
  if (!messages.quiet && config.gateMode !== "cheap_embed") {
    writeError(`running ${models.base.model.name} on the prompts\n`);
  }
  events()?.event("phase", { phase: "routing" });
  const device = forwardDevice(request.engine.device, addon);
  const gates = await withSignals((signal) => gatesFromPrompts(config, models, addon, report, signal, device));
  return { ...withGates(mixture.plan, routers, gates, config.experts.length), warnings: [...report.warnings] };
}
