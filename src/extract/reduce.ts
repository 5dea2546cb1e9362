import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Report, SinterError } from "../errors.ts";
import { openAdapter } from "../lora/folder.ts";
import { partsOf } from "../lora/parts.ts";
import { type Factors, factorsOfModule } from "../lora/product.ts";
import { scaleOf } from "../lora/selection.ts";
import type { Adapter, AdapterModule, AdapterParts } from "../lora/types.ts";
import { DTYPE_BYTES, type FloatDtype } from "../model/dtype.ts";
import { parseSpelt, writeSpelt } from "../model/python-json.ts";
import type { ModelPath } from "../model/ref.ts";
import type { TensorView } from "../model/types.ts";
import type { Addon } from "../native.ts";
import type { MergePlan, SideFile } from "../plan/types.ts";
import { nativeProblem } from "../run/native-error.ts";
import { runPlan } from "../run/run.ts";
import { scratchFolder } from "../run/scratch.ts";
import type { RunEvents, RunOptions, RunResult } from "../run/types.ts";
import { planOfOps, wholeOp } from "./adapter-plan.ts";
import { factorsFile } from "./decompose.ts";
import type { ExtractedModule } from "./types.ts";

/** What an adapter of lower rank is to keep. */
export interface ReduceOptions {
  maxRank: number;
  /** The share of a module's energy that decides its rank; undefined: as many as `maxRank` says. */
  energy: number | undefined;
}

/** An adapter whose every module can be decomposed. */
export interface PreparedReduction {
  adapter: Adapter;
  parts: AdapterParts;
  modules: readonly { module: AdapterModule; factors: Factors; scale: number }[];
}

/** @throws SinterError with everything that is wrong with the adapter. */
export function prepareReduction(path: ModelPath, cacheDir: string | undefined, report: Report): PreparedReduction {
  const adapter = openAdapter(path, cacheDir, report);
  const parts = adapter && partsOf(adapter, report);
  report.throwIfErrors();
  if (adapter === undefined || parts === undefined) throw new SinterError(report.errors);
  const packed = parts.modules.filter(
    ({ a, b }) => a?.view.shape.length !== 2 || b?.view.shape.length !== 2 || a.view.shape[0] !== b.view.shape[1],
  );
  const experts = parts.modules.filter(({ path: module }) => /(^|\.)experts(\.base_layer)*$/.test(module));
  const other = [...packed, ...experts][0];
  if (other !== undefined) {
    report.error({
      code: "not-yet",
      message: `lowering the rank of packed experts and convolutions is not available yet: ${other.path}`,
      path: adapter.weightFiles[0]?.path,
    });
  }
  report.throwIfErrors();
  const modules = parts.modules.map((module) => ({
    module,
    factors: factorsOfModule(module) as Factors,
    scale: scaleOf(adapter.config, module.path).scale,
  }));
  return { adapter, parts, modules };
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
    const plan = reducedPlan(adapter, parts, reduced);
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
  const places = modules.map(({ factors }) => {
    const dtype = factors.a.view.dtype as FloatDtype;
    const rank = Math.min(options.maxRank, factors.rank, factors.inputs, factors.outputs);
    const a = size;
    const b = a + rank * factors.inputs * DTYPE_BYTES[dtype];
    size = b + rank * factors.outputs * DTYPE_BYTES[dtype];
    return { dtype, rank, a, b };
  });
  const sink = addon.createSink(file, size);
  const source = addon.openSource(path).handle;
  const results: ExtractedModule[] = [];
  try {
    for (const [i, { module, factors, scale }] of modules.entries()) {
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
          aOffset: factors.a.view.offset,
          aDtype: factors.a.view.dtype,
          bOffset: factors.b.view.offset,
          bDtype: factors.b.view.dtype,
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
        dtype,
      });
      const view = (offset: number, shape: readonly number[]): TensorView => ({ file, offset, dtype, shape });
      const ofA = view(a, [found.rank, inputs]);
      const ofB = view(b, [outputs, found.rank]);
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

function reducedPlan(adapter: Adapter, parts: AdapterParts, modules: readonly ExtractedModule[]): MergePlan {
  const kept = new Map(modules.filter(({ rank }) => rank > 0).map((module) => [module.path, module]));
  const ops = parts.modules.flatMap(({ path, a, b, bias, magnitude }) => {
    const reduced = kept.get(path);
    if (reduced === undefined || a === undefined || b === undefined) return [];
    const own = [bias, magnitude].flatMap((one) =>
      one === undefined ? [] : [wholeOp(one.tensor, one.view, adapter.name, one.tensor)],
    );
    return [
      wholeOp(a.tensor, reduced.a, adapter.name, a.tensor),
      wholeOp(b.tensor, reduced.b, adapter.name, b.tensor),
      ...own,
    ];
  });
  for (const { tensor, view } of [...parts.replaced.values(), ...parts.tokenRows.values()]) {
    ops.push(wholeOp(tensor, view, adapter.name, tensor));
  }
  const sides: SideFile[] = adapter.sideFiles
    .filter((name) => name !== "README.md" && /\.(json|model|txt|jinja)$/.test(name) && name !== "sinter_manifest.json")
    .map((name) => ({ name, from: join(adapter.dir, name) }));
  sides.push({ name: "adapter_config.json", text: configText(adapter, [...kept.values()]) });
  const models = [{ name: adapter.name, weightFiles: adapter.weightFiles }];
  return planOfOps(ops, sides, { method: "reduce_lora", models, safeSerialization: true, seed: 0 });
}

/** The adapter's own configuration, with ranks and alphas that make the scale 1. */
function configText({ dir }: Adapter, modules: readonly ExtractedModule[]): string {
  const json = parseSpelt(readFileSync(join(dir, "adapter_config.json"), "utf8")) as Record<string, unknown>;
  const rank = Math.max(1, ...modules.map((module) => module.rank));
  const others = Object.fromEntries(
    modules.filter((module) => module.rank !== rank).map(({ path, rank: own }) => [path, own]),
  );
  const changed = { r: rank, lora_alpha: rank, use_rslora: false, rank_pattern: others, alpha_pattern: others };
  return `${writeSpelt({ ...json, ...changed })}\n`;
}
