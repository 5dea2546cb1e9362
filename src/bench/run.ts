import { rmSync } from "node:fs";
import { join } from "node:path";
import { type Problem, SinterError } from "../errors.ts";
import type { Addon } from "../native.ts";
import type { MergePlan } from "../plan/types.ts";
import { runPlan } from "../run/run.ts";
import type { RunOptions, RunResult } from "../run/types.ts";
import { type Comparison, compareAll, MOST_INPUTS } from "./comparison.ts";
import { type Counterparts, matchOutput, readCounterparts } from "./counterparts.ts";
import { effectsOf, type TensorSums } from "./effect.ts";
import { planBench } from "./plans.ts";
import { type Scratch, withScratch } from "./scratch.ts";
import type { BenchEvents, BenchRequest, BenchResult, Effect, MeasuredMethod, PlannedMethod } from "./types.ts";

/** What every step of a measurement needs. */
interface Bench {
  request: BenchRequest;
  scratch: Scratch;
  addon: Addon;
  signal: AbortSignal | undefined;
  events: BenchEvents;
  counterparts: readonly Counterparts[];
}

/**
 * Plans, runs and times a merge by every method that goes with the models, and measures what each did to the weights.
 * Nothing that it writes stays.
 * @throws SinterError naming everything that is wrong, before anything is written; or the signal's reason.
 */
export async function runBench(
  request: BenchRequest,
  addon: Addon,
  signal: AbortSignal | undefined,
  events: BenchEvents,
): Promise<BenchResult> {
  checkModelCount(request);
  const plans = planBench(request);
  const outputs = plans.planned.map(({ plan }) => plan);
  return await withScratch(request.scratch, outputs, async (scratch) => {
    const counterparts = readCounterparts(plans.counterparts, request.models.length);
    const bench: Bench = { request, scratch, addon, signal, events, counterparts };
    // Reads every input: from here on the page cache is as warm as it gets.
    const modelEffects = await measureModels(bench);
    const measured: MeasuredMethod[] = [];
    const warnings = new Map(plans.warnings.map((warning) => [JSON.stringify(warning), warning]));
    for (const [i, planned] of plans.planned.entries()) {
      const { found, ...row } = await measureMethod(planned, `${i + 1} of ${plans.planned.length}`, bench);
      measured.push(row);
      for (const warning of found) warnings.set(JSON.stringify(warning), warning);
    }
    return { ...circumstances(bench, plans.skipped), modelEffects, measured, warnings: [...warnings.values()] };
  });
}

function checkModelCount({ models }: BenchRequest): void {
  // Besides them, the reference and the output are compared.
  const most = MOST_INPUTS - 2;
  if (models.length <= most) return;
  throw new SinterError({
    code: "too-many-models",
    message: `${models.length} models are given, and at most ${most} can be compared`,
  });
}

function circumstances(
  { request, scratch, addon }: Bench,
  skipped: BenchResult["skipped"],
): Omit<BenchResult, "modelEffects" | "measured" | "warnings"> {
  const { models, base, repeat, sync, options } = request;
  const { target, threads } = addon.info();
  return {
    models,
    base,
    reference: base ?? (models[0] as string),
    machine: { target, threads },
    repeat,
    sync,
    seed: options.seed,
    scratchInMemory: scratch.inMemory,
    skipped,
  };
}

/** Each model in the place of an output. */
async function measureModels(bench: Bench): Promise<BenchResult["modelEffects"]> {
  const { request, counterparts } = bench;
  const measured: { model: string; effects: Effect[] }[] = [];
  for (const [i, model] of request.models.entries()) {
    const tensors = counterparts.map((entry) => ({
      counterparts: entry,
      output: entry.models[i] as Counterparts["reference"],
    }));
    measured.push({ model, effects: await measureEffects(`reading ${model}`, tensors, bench) });
  }
  return measured;
}

async function measureMethod(
  { method, recipe, plan }: PlannedMethod,
  place: string,
  bench: Bench,
): Promise<MeasuredMethod & { found: readonly Problem[] }> {
  const folder = join(bench.scratch.path, "merged");
  const results = await mergeRepeatedly(plan, folder, `${method.name} (${place}`, bench);
  const { tensors, unmatched } = matchOutput(plan, folder, bench.counterparts);
  const effects = await measureEffects(`${method.name}: comparing`, tensors, bench);
  rmSync(folder, { recursive: true, force: true });
  const { bytesRead, bytesWritten, warnings } = results.at(-1) as RunResult;
  const runs = results.map(({ seconds }) => seconds);
  return {
    method: method.name,
    device: "cpu",
    recipe,
    runs,
    seconds: median(runs),
    bytesRead,
    bytesWritten,
    tensors: plan.totals.tensors,
    effects,
    notCompared: unmatched,
    found: warnings,
  };
}

/** The last output stays in `folder`. */
async function mergeRepeatedly(plan: MergePlan, folder: string, title: string, bench: Bench): Promise<RunResult[]> {
  const { request, addon, signal, events } = bench;
  const options: RunOptions = { force: false, resume: "never", nan: "warn", sync: request.sync, signal };
  const results: RunResult[] = [];
  for (let run = 1; run <= request.repeat; run++) {
    rmSync(folder, { recursive: true, force: true });
    const again = request.repeat === 1 ? "" : `, run ${run} of ${request.repeat}`;
    const display = events.step(`${title}${again})`);
    results.push(await runPlan(plan, folder, options, addon, display).finally(() => display.end()));
  }
  return results;
}

async function measureEffects(
  title: string,
  tensors: ReturnType<typeof matchOutput>["tensors"],
  bench: Bench,
): Promise<Effect[]> {
  const comparisons = tensors.map(({ counterparts: { tensor, elements, reference, models }, output }) => ({
    tensor,
    inputs: [reference, output, ...models],
    count: elements,
  }));
  const sums = await compare(title, comparisons, bench);
  const tensorSums = tensors.map(({ counterparts: { part, elements } }, i): TensorSums => {
    return { part, elements, compared: sums[i] as Float64Array };
  });
  return effectsOf(tensorSums, bench.request.models.length);
}

async function compare(title: string, comparisons: readonly Comparison[], bench: Bench): Promise<Float64Array[]> {
  const display = bench.events.step(title);
  return await compareAll(comparisons, bench.addon, bench.signal, display).finally(() => display.end());
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] as number;
  return ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
