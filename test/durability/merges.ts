import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadMergeConfig } from "../../src/config/read.ts";
import { Report } from "../../src/errors.ts";
import { native } from "../../src/native.ts";
import { buildPlan } from "../../src/plan/build.ts";
import { DEFAULT_OPTIONS, type MergePlan } from "../../src/plan/types.ts";
import { runPlan } from "../../src/run/run.ts";
import type { RunEvents, RunOptions } from "../../src/run/types.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";

/** A merge as the tests of this folder interrupt it. */
export interface Merge {
  config: string;
  outShardSize: number;
  safeSerialization: boolean;
}

const MODELS =
  "models:\n  - {model: BASE/a, parameters: {weight: 0.5, density: 0.4}}\n  - {model: BASE/b, parameters: {weight: 0.5, density: 0.4}}\n";
const RECIPES = [
  `merge_method: linear\n${MODELS}`,
  `merge_method: ties\nbase_model: BASE/base\n${MODELS}`,
  `merge_method: dare_ties\nbase_model: BASE/base\n${MODELS}dtype: float32\n`,
  "merge_method: slerp\nbase_model: BASE/a\nmodels: [{model: BASE/b}]\nparameters: {t: 0.3}\n",
  "merge_method: passthrough\nmodels: [{model: BASE/a}]\n",
];

/** Writes three models and configurations that merge them. @returns every recipe with every kind of files. */
export function writeMerges(root: string, size = { vocab: 3001, layers: 4 }): Merge[] {
  const base = writeTinyModel(join(root, "base"), { ...size, seed: 1 });
  writeTinyModel(join(root, "a"), { ...size, seed: 2, base });
  writeTinyModel(join(root, "b"), { ...size, seed: 3, base });
  return RECIPES.flatMap((recipe, i) => {
    const config = join(root, `recipe-${i}.yml`);
    writeFileSync(config, recipe.replaceAll("BASE", root));
    return [
      { config, outShardSize: 5e9, safeSerialization: true },
      { config, outShardSize: 20_000, safeSerialization: true },
      { config, outShardSize: 50_000, safeSerialization: false },
    ];
  });
}

export function planOf({ config, ...options }: Merge, changed: Partial<typeof DEFAULT_OPTIONS> = {}): MergePlan {
  const report = new Report();
  const read = loadMergeConfig(config, { strict: false }, report);
  return buildPlan(read, { ...DEFAULT_OPTIONS, ...options, ...changed }, "out", report);
}

export const RUN: RunOptions = { force: false, resume: true, nan: "warn", sync: true };

export async function carryOut(
  plan: MergePlan,
  out: string,
  options: Partial<RunOptions> = {},
  events: RunEvents = { progress() {} },
) {
  return await runPlan(plan, out, { ...RUN, ...options }, native(), events);
}

/** Names and contents of everything in a folder. */
export function contents(folder: string): Map<string, string> {
  const names = readdirSync(folder).sort();
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), "latin1")]));
}

/** What the input models hold, which no merge may change. */
export function inputs(root: string): string[] {
  const hash = (path: string) => new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");
  return ["base", "a", "b"].flatMap((model) =>
    readdirSync(join(root, model)).map((name) => `${hash(join(root, model, name))} ${model}/${name}`),
  );
}

/** What readers open a model by. */
export const ENTRIES = [
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
];

/** Random numbers that a failure can be repeated with. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}
