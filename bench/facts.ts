import { statfsSync, writeFileSync } from "node:fs";
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
  unit: "ms" | "MB" | "s" | "%";
}

const REPETITIONS = 11;

/** Qwen2-0.5B with 326 layers: 10.0 GB in bfloat16. */
const TENFOLD: FamilyShape = { ...QWEN2_05B, layers: 326 };

/** 100,010 tensors of almost no size. */
const MANY_TENSORS: FamilyShape = { hidden: 8, intermediate: 16, layers: 8334, heads: 2, kvHeads: 1, vocab: 4096 };

const TENFOLD_OUTPUT = 10.5e9;

/** Wall time of `sinter --help` and of planning, each a process from its start to its end. */
export async function startupFacts(dir: string, plan: BenchCase): Promise<Fact[]> {
  const many = manyTensors(dir);
  return [
    { what: "sinter --help", value: await wall(dir, "--help"), target: 80, unit: "ms" },
    {
      what: `plan, Qwen2-0.5B shape, ${plan.name}`,
      value: await wall(dir, "plan", plan.config),
      target: 150,
      unit: "ms",
    },
    {
      what: "plan, 100,010 tensors of three models, ties",
      value: await wall(dir, "plan", many.config),
      target: 1000,
      unit: "ms",
    },
  ];
}

/** Milliseconds, the median of several processes. */
async function wall(dir: string, ...args: string[]): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < REPETITIONS; i++) times.push((await measureProcess(sinter(...args), dir)).seconds);
  return 1000 * median(times);
}

/**
 * Peak memory of a merge of two models of 1 GB, and of two of 10 GB whose weights are holes; a sentence instead where the
 * disk cannot take the output. @param models two folders of Qwen2-0.5B's shape.
 */
export async function memoryFacts(dir: string, models: readonly string[]): Promise<Fact[] | string> {
  const { bavail, bsize } = statfsSync(dir);
  if (bavail * bsize < TENFOLD_OUTPUT) return `10 GB models: skipped, ${dir} has less than 10.5 GB free`;
  const tenfold = ["one", "two"].map((name) => join(dir, "10gb", name));
  for (const model of tenfold) writeSparseModel(model, TENFOLD, 5e9);
  const peak = async (what: string, inputs: readonly string[]): Promise<Fact> => {
    const text = ["merge_method: linear", "models:", ...inputs.map(modelEntry), "dtype: bfloat16", ""].join("\n");
    const config = join(dir, "configs", "memory.yml");
    writeFileSync(config, text);
    const { peakAnonymous } = await timeMerge(
      { name: "linear", noise: 0, target: 1.25, config, inputs },
      dir,
      "unsynced",
    );
    return { what: `peak memory, linear, ${what}`, value: peakAnonymous / 1e6, target: 300, unit: "MB" };
  };
  return [await peak("two 1 GB models", models), await peak("two 10 GB models", tenfold)];
}

/** Models of `MANY_TENSORS`. @returns their merge with TIES. */
function manyTensors(dir: string): BenchCase {
  const inputs = ["one", "two", "base"].map((name) => join(dir, "100k", name));
  const [one = "", two = "", base = ""] = inputs;
  for (const model of inputs) writeSparseModel(model, MANY_TENSORS, 5e9);
  const text = [
    "merge_method: ties",
    `base_model: ${JSON.stringify(base)}`,
    "models:",
    modelEntry(one),
    modelEntry(two),
  ];
  const config = join(dir, "configs", "100k.yml");
  writeFileSync(config, [...text, "dtype: bfloat16", ""].join("\n"));
  return { name: "ties", noise: 0, target: 1.8, config, inputs };
}

function modelEntry(path: string): string {
  return `  - {model: ${JSON.stringify(path)}, parameters: {weight: 0.5}}`;
}
