import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { Report } from "../errors.ts";
import { crc32 } from "../hash.ts";
import { type OpenNamed, openRawReference, openReference } from "../lora/open.ts";
import { type FloatDtype, torchName } from "../model/dtype.ts";
import { openModel } from "../model/folder.ts";
import { openRawModel } from "../model/raw.ts";
import { formatModelPath, formatModelRef, type ModelPath, type ModelRef } from "../model/ref.ts";
import type { Addon } from "../native.ts";
import type { MergeOptions } from "../plan/types.ts";
import { runPlan } from "../run/run.ts";
import { withSignals } from "../run/signals.ts";
import { planApplied } from "./apply-adapter.ts";
import { loadAddon, type RunRequest } from "./execute-merge.ts";
import { printProblems } from "./terminal.ts";

/** Where models with their adapters applied are kept, and in which dtype; undefined: the model's own. */
export interface LoraCache {
  folder: string;
  dtype: FloatDtype | undefined;
}

/**
 * Writes every model that has an adapter into the cache that was asked for, unless it is there.
 * @param raw the models are tensors that go by their names.
 * @returns how models are opened: those from there; undefined where nothing is cached.
 */
export async function openThroughCache(
  refs: readonly ModelRef[],
  {
    loraCache,
    options,
    engine,
  }: { loraCache?: LoraCache | undefined; options: MergeOptions } & Pick<RunRequest, "engine">,
  raw = false,
): Promise<OpenNamed | undefined> {
  const adapted = refs.filter(({ lora }) => lora !== undefined);
  if (loraCache === undefined || adapted.length === 0) return undefined;
  const addon = loadAddon(engine);
  return await withSignals((signal) => fillLoraCache(adapted, loraCache, options, raw, { addon, signal }));
}

async function fillLoraCache(
  refs: readonly ModelRef[],
  { folder, dtype }: LoraCache,
  options: MergeOptions,
  raw: boolean,
  { addon, signal }: { addon: Addon; signal: AbortSignal },
): Promise<OpenNamed> {
  const cached = new Map<string, string>();
  for (const ref of refs) {
    const path = join(folder, cacheName(ref));
    cached.set(formatModelRef(ref), path);
    if (isWhole(path, raw)) continue;
    const report = new Report();
    const kept = { ...options, outShardSize: 5_000_000_000, safeSerialization: true, writeModelCard: false };
    const plan = planApplied(ref, dtype, kept, basename(path), report, raw);
    printProblems("warning", report.warnings);
    const run = { force: true, resume: true, nan: "warn", sync: true, signal } as const;
    await runPlan(plan, path, run, addon, { progress() {} });
  }
  return (named, report) => {
    const path = cached.get(formatModelRef(named.ref));
    if (path === undefined) return (raw ? openRawReference : openReference)(named, options, report);
    const { overrideArchitecture } = named.ref;
    const there = { ref: { model: { path }, overrideArchitecture }, at: named.at };
    const model = (raw ? openRawModel : openModel)(there, options, report);
    const name = formatModelRef({ model: named.ref.model, lora: named.ref.lora });
    return model && { ...model, ref: named.ref, name, cachedAs: dtype === undefined ? "model" : torchName(dtype) };
  };
}

/** What a model is opened by gets its name last; mergekit writes either kind of files. */
function isWhole(path: string, raw: boolean): boolean {
  const isThere = (name: string) => existsSync(join(path, name));
  const hasWeights = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
  ].some(isThere);
  return hasWeights && (raw || isThere("config.json"));
}

/** As mergekit names it, so that either program finds what the other wrote. */
function cacheName({ model, lora }: ModelRef): string {
  const unique = (path: ModelPath) => `${basename(path.path)}_${crc32(formatModelPath(path))}`;
  return [model, ...(lora === undefined ? [] : [lora])].map(unique).join("_");
}
