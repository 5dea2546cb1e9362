import { basename, resolve } from "node:path";
import { Report } from "../errors.ts";
import { prepareReduction, type ReduceOptions, runReduction } from "../extract/reduce.ts";
import type { FloatDtype } from "../model/dtype.ts";
import { type ModelRef, parseModelRef } from "../model/ref.ts";
import type { MergeOptions } from "../plan/types.ts";
import { checkOutput } from "../run/output.ts";
import { progressDisplay, silentProgress } from "../run/progress.ts";
import { runPlan } from "../run/run.ts";
import { withSignals } from "../run/signals.ts";
import { formatBytes } from "../run/units.ts";
import { planApplied } from "./apply-adapter.ts";
import { loadAddon } from "./execute-merge.ts";
import { fetchModels } from "./fetch-models.ts";
import { UsageError } from "./parse.ts";
import { print, printProblems } from "./terminal.ts";

interface ConvertRequest {
  source: string;
  out: string;
  force: boolean;
  threads: number;
  quiet: boolean;
}

/** Writes a model with its adapter applied. @returns the exit code. @throws SinterError */
export async function executeApply(
  request: ConvertRequest & { options: MergeOptions; dtype: FloatDtype | undefined },
): Promise<number> {
  const { options, dtype, out } = request;
  const ref = referenceOf(request.source);
  if (ref.lora === undefined) {
    const hint = "write base+adapter to apply an adapter, or give --rank to lower the rank of one";
    throw new UsageError({ code: "no-adapter", message: `"${request.source}" names no adapter`, hint });
  }
  const report = new Report();
  const plan = await reporting(report, async () => {
    await fetch(ref, options.cacheDir, request, report);
    return planApplied(ref, dtype, options, basename(resolve(out)), report);
  });
  const addon = loadAddon({ threads: request.threads, target: "auto" });
  const display = request.quiet ? silentProgress : progressDisplay(process.stderr);
  const result = await withSignals((signal) =>
    runPlan(plan, out, { force: request.force, nan: "warn", sync: true, signal }, addon, display).finally(() =>
      display.end(),
    ),
  );
  printProblems("warning", result.warnings);
  if (!request.quiet)
    await print(`${result.folder}: ${plan.totals.tensors} tensors, ${formatBytes(result.bytesWritten)}\n`);
  return 0;
}

/** Writes an adapter with a lower rank. @returns the exit code. @throws SinterError */
export async function executeReduce(
  request: ConvertRequest & { cacheDir: string | undefined; options: ReduceOptions },
): Promise<number> {
  const ref = referenceOf(request.source);
  if (ref.lora !== undefined) {
    const message = "--rank lowers the rank of an adapter alone, and here its model is named, too";
    throw new UsageError({ code: "adapter-alone", message, hint: "name the adapter alone" });
  }
  const report = new Report();
  const prepared = await reporting(report, async () => {
    await fetch(ref, request.cacheDir, request, report);
    checkOutput(request.out, request.force, report);
    return prepareReduction(ref.model, request.cacheDir, report);
  });
  const addon = loadAddon({ threads: request.threads, target: "auto" });
  const { modules, result } = await withSignals((signal) =>
    runReduction(prepared, request.out, request.options, {
      addon,
      force: request.force,
      signal,
      events: silentProgress,
    }),
  );
  printProblems("warning", result.warnings);
  if (request.quiet) return 0;
  const energy = modules.reduce((sum, module) => sum + module.energy, 0);
  const kept = modules.reduce((sum, module) => sum + module.kept, 0);
  const ranks = modules.map(({ rank }) => rank);
  const range = `rank ${Math.min(...ranks)} to ${Math.max(...ranks)}`;
  const share = energy === 0 ? 100 : (100 * kept) / energy;
  await print(
    `${modules.length} modules of ${range}, ${share.toFixed(2)} % of the energy kept\n${result.folder}: ${formatBytes(result.bytesWritten)}\n`,
  );
  return 0;
}

function referenceOf(text: string): ModelRef {
  const ref = parseModelRef(text);
  if (typeof ref === "string") throw new UsageError({ code: "bad-model", message: ref });
  return ref;
}

async function fetch(
  ref: ModelRef,
  cacheDir: string | undefined,
  request: ConvertRequest,
  report: Report,
): Promise<void> {
  const check = (into: Report) => checkOutput(request.out, request.force, into);
  await fetchModels([{ ref }], cacheDir, { download: true, quiet: request.quiet, check }, report);
}

async function reporting<T>(report: Report, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    printProblems("warning", report.warnings);
  }
}
