import { expandArchitecture } from "../architecture/expand.ts";
import { familiesFor } from "../architecture/families.ts";
import { type Problem, type Report, SinterError } from "../errors.ts";
import { type OpenNamed, openReference } from "../lora/open.ts";
import { isFloat } from "../model/dtype.ts";
import { parseModelRef } from "../model/ref.ts";
import { elementCount } from "../model/types.ts";
import type { Addon } from "../native.ts";
import { measureAll } from "../run/measure.ts";
import { checkOutput } from "../run/output.ts";
import { runPlan } from "../run/run.ts";
import { scratchFolder } from "../run/scratch.ts";
import type { RunEvents, RunOptions, RunResult } from "../run/types.ts";
import { adapterPlan } from "./adapter-plan.ts";
import { adapterCard } from "./card.ts";
import { decomposeModules, differenceOp } from "./decompose.ts";
import { planModules, type Understood } from "./modules.ts";
import { type ExtractionSummary, summaryOf } from "./report.ts";
import type { ExtractedModule, ExtractionPlan, ExtractOptions, Pair } from "./types.ts";

/** Where an extraction reads and writes. */
export interface ExtractRequest {
  model: string;
  baseModel: string;
  out: string;
  options: ExtractOptions;
  cacheDir: string | undefined;
  architectures: string | undefined;
  run: Pick<RunOptions, "force" | "nan" | "sync">;
  safeSerialization: boolean;
  writeModelCard: boolean;
  /** The command line, for the card. */
  command: string;
}

/** An extraction that may begin: models are open, every module is known. */
export interface PreparedExtraction {
  tuned: Understood;
  base: Understood;
  plan: ExtractionPlan;
}

/**
 * Opens both models and settles what is extracted. @param open how models are opened. @throws SinterError with everything
 * that is wrong.
 */
export function prepareExtraction(
  request: ExtractRequest,
  report: Report,
  open: OpenNamed = (named, into) => openReference(named, request, into),
): PreparedExtraction {
  checkOutput(request.out, request.run.force, report);
  const [tuned, base] = [request.model, request.baseModel].map((text) => openNamed(text, open, report));
  report.throwIfErrors();
  if (tuned === undefined || base === undefined) throw new SinterError(report.errors);
  checkOutput(request.out, request.run.force, report, [...tuned.weightFiles, ...base.weightFiles]);
  report.throwIfErrors();
  const families = familiesFor([tuned, base], request.architectures, report);
  const of = (model: Understood["model"], split: boolean) => {
    const architecture = expandArchitecture(model, report, { families, split });
    return architecture && { model, architecture };
  };
  const stored = [tuned, base].map((model) => of(model, false));
  report.throwIfErrors();
  // Fused layers and packed experts get factors as the class has them. Where only one model stores them so, apart.
  const differ = stored[0]?.architecture.layout.kind !== stored[1]?.architecture.layout.kind;
  const [understood, understoodBase] = differ ? [of(tuned, true), of(base, true)] : stored;
  report.throwIfErrors();
  if (understood === undefined || understoodBase === undefined) throw new SinterError(report.errors);
  if (understood.architecture.family !== understoodBase.architecture.family) {
    report.error({
      code: "different-architectures",
      message: `${tuned.name} is ${understood.architecture.family}, and ${base.name} is ${understoodBase.architecture.family}`,
      hint: "the base is the model that was fine-tuned",
    });
  }
  report.throwIfErrors();
  const plan = planModules(understood, understoodBase, request.options, report);
  report.throwIfErrors();
  return { tuned: understood, base: understoodBase, plan };
}

function openNamed(text: string, open: OpenNamed, report: Report) {
  const ref = parseModelRef(text);
  if (typeof ref === "string") {
    report.error({ code: "bad-model", message: ref });
    return undefined;
  }
  return open({ ref }, report);
}

/**
 * Decomposes, then writes the adapter: all of it, or nothing.
 * @param solver the name of the device that was opened for decompositions; undefined: the CPU. @throws SinterError
 */
export async function runExtraction(
  request: ExtractRequest,
  { tuned, base, plan }: PreparedExtraction,
  {
    addon,
    signal,
    events,
    solver,
  }: { addon: Addon; signal: AbortSignal; events: RunEvents; solver?: string | undefined },
): Promise<{ summary: ExtractionSummary; result: RunResult }> {
  const scratch = scratchFolder(request.out, addon);
  try {
    const onDevice = solver !== undefined;
    const modules = await decomposeModules(plan.modules, request.options, {
      scratch: scratch.take(),
      addon,
      signal,
      events,
      onDevice,
    });
    const summary = summaryOf(modules, plan, solver);
    if (summary.modules.length === 0 && !(await anyDiffers(plan, addon, signal, events))) {
      const message = "the fine-tuned model does not differ from the base in what the adapter would hold";
      throw new SinterError({ code: "nothing-to-extract", message, hint: "are both names the same model?" });
    }
    const models = { tuned: tuned.model, base: base.model };
    const written = adapterPlan({ extraction: plan, modules, options: request.options }, models, {
      method: "extract_lora",
      card: request.writeModelCard ? adapterCard(models, request.out, request.command, summary) : undefined,
      safeSerialization: request.safeSerialization,
    });
    const result = await runPlan(written, request.out, { ...request.run, resume: "never", signal }, addon, events);
    return { summary, result: { ...result, warnings: [...refusals(modules), ...result.warnings] } };
  } finally {
    scratch.release();
  }
}

/** Whether the base has another tensor than one that is saved whole, or another bias. */
async function anyDiffers(
  { saved, modules }: ExtractionPlan,
  addon: Addon,
  signal: AbortSignal,
  events: RunEvents,
): Promise<boolean> {
  const pairs = [...saved.map((one) => one.pair), ...modules.flatMap(({ bias }) => bias ?? [])];
  const items = pairs.flatMap((pair) => (pair === undefined || !isComparable(pair) ? [] : [measurementOf(pair)]));
  if (items.length < pairs.length) return true;
  const found = await measureAll(
    items,
    async ({ count, rows }, inputs) => {
      const sums = await addon.difference({ ...inputs, count, rows, thresholds: [] });
      const [, , , , changed = 0, notFinite = 0, notFiniteInBase = 0] = sums;
      return changed + notFinite + notFiniteInBase > 0;
    },
    addon,
    signal,
    events,
  );
  return found.includes(true);
}

function isComparable({ tuned, base }: Pair): boolean {
  return String(tuned.shape) === String(base.shape) && isFloat(tuned.dtype) && isFloat(base.dtype);
}

function measurementOf(pair: Pair) {
  const { name, tuned } = pair;
  return {
    tensor: name,
    inputs: differenceOp(pair).inputs,
    count: elementCount(tuned.shape),
    rows: tuned.shape[0] ?? 1,
  };
}

/** What the device could not do. */
function refusals(modules: readonly ExtractedModule[]): Problem[] {
  const refused = modules.filter((module) => module.refused !== undefined);
  const [first] = refused;
  if (first === undefined) return [];
  const count = refused.length === 1 ? "a module" : `${refused.length} modules`;
  return [
    {
      code: "solver-failed",
      message: `the CPU decomposed ${count} that the device could not: ${first.refused}`,
      tensor: first.path,
    },
  ];
}
