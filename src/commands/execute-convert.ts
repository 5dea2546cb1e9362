import { basename, resolve } from "node:path";
import { Report } from "../errors.ts";
import { prepareReduction, type ReduceOptions, runReduction } from "../extract/reduce.ts";
import type { ExtractedModule } from "../extract/types.ts";
import type { FloatDtype } from "../model/dtype.ts";
import { type ModelRef, parseModelRef } from "../model/ref.ts";
import type { MergeOptions } from "../plan/types.ts";
import { checkOutput } from "../run/output.ts";
import { withSignals } from "../run/signals.ts";
import type { RunResult } from "../run/types.ts";
import { formatBytes } from "../run/units.ts";
import { planApplied } from "./apply-adapter.ts";
import { carryOut, loadAddon, type RunRequest } from "./execute-merge.ts";
import { fetchModels } from "./fetch-models.ts";
import { UsageError } from "./parse.ts";
import { shownProgress } from "./progress.ts";
import { printProblems, printSummary } from "./terminal.ts";

/** Writes a model with its adapter applied. @returns the exit code. @throws SinterError */
export async function executeApply(
  source: string,
  { options, dtype }: { options: MergeOptions; dtype: FloatDtype | undefined },
  request: RunRequest,
): Promise<number> {
  const ref = referenceOf(source);
  if (ref.lora === undefined) {
    const hint = "write base+adapter to apply an adapter, or give --rank to lower the rank of one";
    throw new UsageError({ code: "no-adapter", message: `"${source}" names no adapter`, hint });
  }
  const report = new Report();
  const plan = await reporting(report, async () => {
    await fetch(ref, options.cacheDir, request, report);
    return planApplied(ref, dtype, options, basename(resolve(request.out)), report);
  });
  return await carryOut(plan, request);
}

/** Writes an adapter with a lower rank. @returns the exit code. @throws SinterError */
export async function executeReduce(
  source: string,
  { cacheDir, options }: { cacheDir: string | undefined; options: ReduceOptions },
  request: RunRequest,
): Promise<number> {
  const ref = referenceOf(source);
  if (ref.lora !== undefined) {
    const message = "--rank lowers the rank of an adapter alone, and here its model is named, too";
    throw new UsageError({ code: "adapter-alone", message, hint: "name the adapter alone" });
  }
  const report = new Report();
  const prepared = await reporting(report, async () => {
    await fetch(ref, cacheDir, request, report);
    const reduction = prepareReduction(ref.model, cacheDir, report);
    checkOutput(request.out, request.run.force, report, reduction.adapter.weightFiles);
    report.throwIfErrors();
    return reduction;
  });
  const addon = loadAddon(request.engine);
  const events = shownProgress(request.messages.quiet);
  const { modules, result } = await withSignals(
    (signal) =>
      runReduction(prepared, request.out, options, { addon, run: { ...request.run, signal }, events }).finally(() =>
        events.end(),
      ),
    "decompositions are not kept: the same command begins anew",
  );
  printProblems("warning", result.warnings);
  const { quiet, json } = request.messages;
  await printSummary({ folder: result.folder, modules }, quiet ? "" : reducedText(modules, result), json);
  return 0;
}

function reducedText(modules: readonly ExtractedModule[], { folder, bytesWritten }: RunResult): string {
  const energy = modules.reduce((sum, module) => sum + module.energy, 0);
  const kept = modules.reduce((sum, module) => sum + module.kept, 0);
  const ranks = modules.map(({ rank }) => rank);
  const range = `rank ${Math.min(...ranks)} to ${Math.max(...ranks)}`;
  const share = energy === 0 ? 100 : (100 * kept) / energy;
  return `${modules.length} modules of ${range}, ${share.toFixed(2)} % of the energy kept\n${folder}: ${formatBytes(bytesWritten)}\n`;
}

function referenceOf(text: string): ModelRef {
  const ref = parseModelRef(text);
  if (typeof ref === "string") throw new UsageError({ code: "bad-model", message: ref });
  return ref;
}

async function fetch(ref: ModelRef, cacheDir: string | undefined, request: RunRequest, report: Report): Promise<void> {
  const check = (into: Report) => checkOutput(request.out, request.run.force, into);
  await fetchModels([{ ref }], cacheDir, { download: true, quiet: request.messages.quiet, check }, report);
}

async function reporting<T>(report: Report, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    printProblems("warning", report.warnings);
  }
}
