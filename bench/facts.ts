import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type FamilyShape, QWEN2_05B } from "../scripts/family/shape.ts";
import { writeSparseModel } from "../scripts/family/write.ts";
import type { BenchCase } from "./cases.ts";
import { sinter, timeMerge } from "./merge.ts";
import { measureProcess, median } from "./process.ts";

/** One measured number beside its target, in the unit that its text names. */
export interface Fact {
  what: string;
  value: number;
  target: number;
  unit: "ms" | "MB";
}

const REPETITIONS = 11;

/** Qwen2-0.5B with 326 layers: 10.0 GB in bfloat16. */
const TENFOLD: FamilyShape = { ...QWEN2_05B, layers: 326 };

/** 100,010 tensors of almost no size. */
const MANY_TENSORS: FamilyShape = { hidden: 8, intermediate: 16, layers: 8334, heads: 2, kvHeads: 1, vocab: 4096 };

const TENFOLD_OUTPUT = 10.5e9;

/** Wall time of `sinter --help` and of planning, each a process from its start to its end. */
export async function startupFacts(dir: string, plan: BenchCase): Promise<Fact[]> {
  const many = sparseFamily(join(dir, "100k"), MANY_TENSORS, dir);
  return [
    { what: "sinter --help", value: await wall(dir, "--help"), target: 80, unit: "ms" },
    {
      what: `plan, Qwen2-0.5B shape, ${plan.method}`,
      value: await wall(dir, "plan", plan.config),
      target: 150,
      unit: "ms",
    },
    { what: "plan, 100,010 tensors, ties", value: await wall(dir, "plan", many.config), target: 1000, unit: "ms" },
  ];
}

/** Milliseconds, the median of several processes. */
async function wall(dir: string, ...args: string[]): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < REPETITIONS; i++) times.push((await measureProcess(sinter(...args), dir)).seconds);
  return 1000 * median(times);
}

/** Peak memory of merging models of 10 GB whose weights are holes; nothing where the disk cannot take the output. */
export async function memoryFacts(dir: string): Promise<Fact[] | string> {
  const { bavail, bsize } = statfsSync(dir);
  if (bavail * bsize < TENFOLD_OUTPUT) return `10 GB model: skipped, ${dir} has less than 10.5 GB free`;
  const bench = sparseFamily(join(dir, "10gb"), TENFOLD, dir);
  const { peakAnonymous } = await timeMerge(bench, dir, "unsynced");
  return [{ what: "peak memory, ties of three 10 GB models", value: peakAnonymous / 1e6, target: 300, unit: "MB" }];
}

function sparseFamily(folder: string, shape: FamilyShape, dir: string): BenchCase {
  const [base, first, second] = ["base", "one", "two"].map((name) => join(folder, name)) as [string, string, string];
  for (const model of [base, first, second]) writeSparseModel(model, shape, 5e9);
  const entry = (path: string) => `  - {model: ${JSON.stringify(path)}, parameters: {weight: 0.5, density: 0.5}}`;
  const text = `merge_method: ties\nbase_model: ${JSON.stringify(base)}\nmodels:\n${entry(first)}\n${entry(second)}\ndtype: bfloat16\n`;
  mkdirSync(dir, { recursive: true });
  const config = `${folder}.yml`;
  rmSync(config, { force: true });
  writeFileSync(config, text);
  return { method: "ties", noise: 0, config, inputs: [first, second, base] };
}
