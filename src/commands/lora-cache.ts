import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { Report } from "../errors.ts";
import { crc32 } from "../hash.ts";
import { openReference } from "../lora/open.ts";
import type { FloatDtype } from "../model/dtype.ts";
import { openModel } from "../model/folder.ts";
import { formatModelPath, formatModelRef, type ModelPath, type ModelRef } from "../model/ref.ts";
import type { Addon } from "../native.ts";
import type { OpenModel } from "../plan/models.ts";
import type { MergeOptions } from "../plan/types.ts";
import { runPlan } from "../run/run.ts";
import { planApplied } from "./apply-adapter.ts";
import { printProblems } from "./terminal.ts";

/** Where models with their adapters applied are kept, and in which dtype; undefined: the model's own. */
export interface LoraCache {
  folder: string;
  dtype: FloatDtype | undefined;
}

/**
 * Writes every model that has an adapter into the cache, unless it is there, and opens it from there.
 * @returns how a plan opens its models.
 */
export async function fillLoraCache(
  refs: readonly ModelRef[],
  { folder, dtype }: LoraCache,
  options: MergeOptions,
  { addon, signal }: { addon: Addon; signal: AbortSignal },
): Promise<OpenModel> {
  const cached = new Map<string, string>();
  for (const ref of refs.filter(({ lora }) => lora !== undefined)) {
    const path = join(folder, cacheName(ref));
    cached.set(formatModelRef(ref), path);
    if (existsSync(join(path, "config.json"))) continue;
    const report = new Report();
    const kept = { ...options, outShardSize: 5_000_000_000, safeSerialization: true, writeModelCard: false };
    const plan = planApplied(ref, dtype, kept, basename(path), report);
    printProblems("warning", report.warnings);
    const run = { force: true, resume: true, nan: "warn", sync: true, signal } as const;
    await runPlan(plan, path, run, addon, { progress() {} });
  }
  return (named, report) => {
    const path = cached.get(formatModelRef(named.ref));
    if (path === undefined) return openReference(named, options, report);
    const { overrideArchitecture } = named.ref;
    const model = openModel({ ref: { model: { path }, overrideArchitecture }, at: named.at }, options, report);
    return (
      model && { ...model, ref: named.ref, name: formatModelRef({ model: named.ref.model, lora: named.ref.lora }) }
    );
  };
}

/** As mergekit names it, so that either program finds what the other wrote. */
function cacheName({ model, lora }: ModelRef): string {
  const unique = (path: ModelPath) => `${basename(path.path)}_${crc32(formatModelPath(path))}`;
  return [model, ...(lora === undefined ? [] : [lora])].map(unique).join("_");
}
