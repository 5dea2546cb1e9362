import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Report, SinterError } from "../errors.ts";
import { expertsPath, parameterOfModule } from "../lora/experts.ts";
import { openAdapter } from "../lora/folder.ts";
import { partsOf } from "../lora/parts.ts";
import { type Factors, factorsOfModule } from "../lora/product.ts";
import { patternName, scaleOf } from "../lora/selection.ts";
import type { Adapter, AdapterConfig, AdapterModule, AdapterParts, StoredFactor } from "../lora/types.ts";
import { DTYPE_BYTES, type FloatDtype } from "../model/dtype.ts";
import { parseSpelt, writeSpelt } from "../model/python-json.ts";
import type { ModelPath } from "../model/ref.ts";
import type { TensorView } from "../model/types.ts";
import type { Addon } from "../native.ts";
import type { PlacelessOp } from "../plan/place.ts";
import type { MergePlan, SideFile } from "../plan/types.ts";
import { nativeProblem } from "../run/native-error.ts";
import { runPlan } from "../run/run.ts";
import { scratchFolder } from "../run/scratch.ts";
import type { RunEvents, RunOptions, RunResult } from "../run/types.ts";
import { packedOps, planOfOps, wholeOp } from "./adapter-plan.ts";
import { factorsFile } from "./decompose.ts";
import type { ExtractedModule } from "./types.ts";

/** What an adapter of lower rank is to keep. */
export interface ReduceOptions {
  maxRank: number;
  /** The share of a module's energy that decides its rank; undefined: as many as `maxRank` says. */
  energy: number | undefined;
}

/** A module's factors, or those of one expert of a parameter that packs them. */
interface Reducible {
  module: AdapterModule;
  factors: Factors;
  scale: number;
  /** What the module's rank goes by in the configuration. */
  name: string;
  expert?: { index: number; count: number } | undefined;
}

/** An adapter whose every module can be decomposed. */
export interface PreparedReduction {
  adapter: Adapter;
  parts: AdapterParts;
  modules: readonly Reducible[];
}

/** @throws SinterError with everything that is wrong with the adapter. */
export function prepareReduction(path: ModelPath, cacheDir: string | undefined, report: Report): PreparedReduction {
  const adapter = openAdapter(path, cacheDir, report);
  const parts = adapter && partsOf(adapter, report);
  report.throwIfErrors();
  if (adapter === undefined || parts === undefined) throw new SinterError(report.errors);
  const modules = parts.modules.flatMap((module) => {
    const found = reducible(module, adapter.config, parts.modules);
    if (found !== undefined) return found;
    report.error({
      code: "not-yet",
      message: `lowering the rank of convolutions, and of experts that target_parameters does not name, is not available yet: ${module.path}`,
      path: adapter.weightFiles[0]?.path,
    });
    return [];
  });
  report.throwIfErrors();
  return { adapter, parts, modules };
}

/** @returns undefined where it cannot be said what the factors are of. */
function reducible(
  module: AdapterModule,
  config: AdapterConfig,
  all: readonly AdapterModule[],
): Reducible[] | undefined {
  const factors = factorsOfModule(module);
  const [a, b] = [module.a?.view.shape, module.b?.view.shape];
  if (factors === undefined || a?.length !== 2 || b?.length !== 2 || a[0] !== b[1]) return undefined;
  const { path } = expertsPath(module.path);
  if (!/(^|\.)experts$/.test(path)) {
    const name = patternName(config, module.path);
    return [{ module, factors, scale: scaleOf(config, name).scale, name }];
  }
  const modules = all.filter((one) => expertsPath(one.path).path === path).length;
  const parameter = parameterOfModule(config, module.path, modules);
  if (parameter === undefined) return undefined;
  const name = `${parameter.path}.${parameter.parameter}`;
  const { scale, rank } = scaleOf(config, name);
  const count = factors.rank / rank;
  if (!Number.isInteger(count)) return undefined;
  const own = { ...factors, rank };
  return Array.from({ length: count }, (_, index) => ({ module, factors: own, scale, name, expert: { index, count } }));
}

/** Writes the adapter with fewer singular values: all of it, or nothing. The scale becomes part of the factors. */
export async function runReduction(
  { adapter, parts, modules }: PreparedReduction,
  out: string,
  options: ReduceOptions,
  { addon, run, events }: { addon: Addon; run: RunOptions; events: RunEvents },
): Promise<{ modules: ExtractedModule[]; result: RunResult }> {
  const scratch = scratchFolder(out, addon);
  try {
    const reduced = await reduceAll(modules, options, {
      scratch: scratch.take(),
      addon,
      path: adapter.weightFiles[0]?.path as string,
    });
    const plan = reducedPlan({ adapter, parts, modules }, reduced);
    const result = await runPlan(plan, out, { ...run, resume: "never" }, addon, events);
    return { modules: reduced, result };
  } finally {
    scratch.release();
  }
}

async function reduceAll(
  modules: PreparedReduction["modules"],
  options: ReduceOptions,
  { scratch, addon, path }: { scratch: string; addon: Addon; path: string },
): Promise<ExtractedModule[]> {
  const file = factorsFile(scratch);
  let size = 0;
  let start = 0;
  const places = modules.map(({ factors: { a: own, rank: most, inputs, outputs }, expert }) => {
    const dtype = own.view.dtype as FloatDtype;
    const rank = Math.min(options.maxRank, most, inputs, outputs);
    const { index, count } = expert ?? { index: 0, count: 1 };
    if (index === 0) start = size;
    const a = start + index * rank * inputs * DTYPE_BYTES[dtype];
    const b = start + (count * inputs + index * outputs) * rank * DTYPE_BYTES[dtype];
    size = start + count * (inputs + outputs) * rank * DTYPE_BYTES[dtype];
    return { dtype, rank, a, b };
  });
  const sink = addon.createSink(file, size);
  const source = addon.openSource(path).handle;
  const results: ExtractedModule[] = [];
  try {
    for (const [i, { module, factors, scale, expert }] of modules.entries()) {
      const { dtype, rank, a, b } = places[i] as (typeof places)[number];
      const { inputs, outputs } = factors;
      const found = await addon.decompose({
        source,
        offset: 0,
        rows: outputs,
        columns: inputs,
        transposed: false,
        factors: {
          inner: factors.rank,
          scale,
          ...placesOfFactors(factors, expert),
        },
        rank,
        epsilon: 0,
        share: options.energy ?? 1,
        distribute: true,
        seed: 0,
        threads: 0,
        sink,
        aOffset: a,
        bOffset: b,
        bWidth: expert === undefined ? undefined : rank,
        dtype,
      });
      const view = (offset: number, shape: readonly number[]): TensorView => ({ file, offset, dtype, shape });
      const ofA = view(a, [found.rank, inputs]);
      const ofB = view(b, [outputs, found.rank]);
      if (expert !== undefined) ofB.strides = [rank, 1];
      const { energy, kept, iterations, onDevice, refused } = found;
      results.push({
        path: module.path,
        rank: found.rank,
        energy,
        kept: Math.min(kept, energy),
        iterations,
        onDevice,
        refused,
        a: ofA,
        b: ofB,
      });
    }
  } catch (error) {
    addon.close(sink);
    throw error instanceof SinterError ? error : new SinterError(nativeProblem(error, { path }));
  } finally {
    addon.close(source);
  }
  await addon.commitSink(sink, false);
  return results;
}

/** Of one expert: some rows of A, and the elements of B that are as many apart as there are experts. */
function placesOfFactors({ a, b, rank, inputs }: Factors, expert: Reducible["expert"]) {
  const { index, count } = expert ?? { index: 0, count: 1 };
  return {
    aOffset: a.view.offset + index * rank * inputs * DTYPE_BYTES[a.view.dtype],
    aDtype: a.view.dtype,
    bOffset: b.view.offset + index * DTYPE_BYTES[b.view.dtype],
    bDtype: b.view.dtype,
    bRowStride: rank * count,
    bColumnStride: count,
  };
}

/** The experts of a parameter with one rank, that of the largest: zeros follow what was found of the others. */
function withOneRank(experts: readonly ExtractedModule[]): ExtractedModule[] {
  const rank = Math.max(...experts.map((one) => one.rank));
  return experts.map((one) => ({
    ...one,
    rank,
    a: { ...one.a, shape: [rank, one.a.shape[1] ?? 0] },
    b: { ...one.b, shape: [one.b.shape[0] ?? 0, rank] },
  }));
}

function reducedPlan(
  { adapter, parts, modules: asked }: PreparedReduction,
  found: readonly ExtractedModule[],
): MergePlan {
  // The scale is 1 from now on, and biases were scaled, too.
  const scaled = (one: StoredFactor, path: string): PlacelessOp => ({
    ...wholeOp(one.tensor, one.view, adapter.name, one.tensor),
    kernel: "linear",
    params: [scaleOf(adapter.config, patternName(adapter.config, path)).scale],
  });
  const kept = new Map(
    parts.modules.flatMap(({ path }): [string, ExtractedModule[]][] => {
      const own = found.filter((one) => one.path === path);
      return own.some(({ rank }) => rank > 0) ? [[path, withOneRank(own)]] : [];
    }),
  );
  const ops = parts.modules.flatMap(({ path, a, b, bias, magnitude }) => {
    const [reduced, ...others] = kept.get(path) ?? [];
    if (reduced === undefined || a === undefined || b === undefined) return [];
    if (others.length > 0) return packedOps([reduced, ...others], [a.tensor, b.tensor], adapter.name, a.tensor);
    const own = [
      ...(bias === undefined ? [] : [scaled(bias, path)]),
      ...(magnitude === undefined ? [] : [wholeOp(magnitude.tensor, magnitude.view, adapter.name, magnitude.tensor)]),
    ];
    return [
      wholeOp(a.tensor, reduced.a, adapter.name, a.tensor),
      wholeOp(b.tensor, reduced.b, adapter.name, b.tensor),
      ...own,
    ];
  });
  for (const { tensor, view } of [parts.replaced, parts.tokenRows, parts.baseCopies].flatMap((all) => [
    ...all.values(),
  ])) {
    ops.push(wholeOp(tensor, view, adapter.name, tensor));
  }
  const sides: SideFile[] = adapter.sideFiles
    .filter((name) => name !== "README.md" && /\.(json|model|txt|jinja)$/.test(name) && name !== "sinter_manifest.json")
    .map((name) => ({ name, from: join(adapter.dir, name) }));
  const ranks = new Map(
    asked.flatMap(({ module, name }) => (kept.get(module.path) ?? []).map((one) => [name, one.rank])),
  );
  sides.push({ name: "adapter_config.json", text: configText(adapter, ranks) });
  const models = [{ name: adapter.name, weightFiles: adapter.weightFiles }];
  return planOfOps(ops, sides, { method: "reduce_lora", models, safeSerialization: true, seed: 0 });
}

/** The adapter's own configuration, with ranks and alphas that make the scale 1. */
function configText({ dir }: Adapter, ranks: ReadonlyMap<string, number>): string {
  const json = parseSpelt(readFileSync(join(dir, "adapter_config.json"), "utf8")) as Record<string, unknown>;
  const rank = Math.max(1, ...ranks.values());
  const others = Object.fromEntries([...ranks].filter(([, own]) => own !== rank));
  const changed = { r: rank, lora_alpha: rank, use_rslora: false, rank_pattern: others, alpha_pattern: others };
  return `${writeSpelt({ ...json, ...changed })}\n`;
}
