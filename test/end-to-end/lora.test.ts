import { afterAll, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { readSafetensors } from "../support/safetensors.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";
import { valuesOf } from "./values.ts";

const work = new Workplace();
afterAll(() => work.remove());

const base = writeTinyModel(work.path("base"), { dtype: "F32" });
const tuned = writeTinyModel(work.path("tuned"), { dtype: "F32", seed: 2, base });

/** The largest difference of any element of any tensor of the fine-tune. */
function distance(folder: string): number {
  const { tensors } = readSafetensors(work.path(folder, "model.safetensors"));
  let worst = 0;
  for (const [name, tensor] of tuned) {
    const ours = valuesOf(tensors.get(name));
    valuesOf(tensor).forEach((x, i) => {
      worst = Math.max(worst, Math.abs(x - (ours[i] as number)));
    });
  }
  return worst;
}

async function run(program: "sinter" | "mergekit-yaml" | "mergekit-extract-lora", ...args: string[]) {
  const { exitCode, stdout, stderr } = await work.run(program, args);
  expect([exitCode, stderr.match(/^error.*/m)?.[0]]).toEqual([0, undefined]);
  return stdout;
}

test("a fine-tune becomes an adapter, and base+adapter the fine-tune", async () => {
  const summary = await run("sinter", "lora", "extract", "tuned", "base", "adapter", "-r", "16");
  expect(summary).toMatch(/all 14 modules: 100\.0 % of the energy kept/);
  await run("sinter", "lora", "convert", "base+adapter", "again");
  expect(distance("again")).toBeLessThan(1e-6);
  expect(JSON.parse(readFileSync(work.path("again", "config.json"), "utf8")).tie_word_embeddings).toBe(true);
  await run("sinter", "lora", "convert", "adapter", "smaller", "--rank", "2");
  await run("sinter", "inspect", "base+smaller");
});

test("an adapter never takes the place of a model that it is made of, whatever is forced", async () => {
  const before = ["base", "tuned"].map((name) => readFileSync(work.path(name, "model.safetensors")));
  const named = ["--model", "tuned", "--base-model", "base"];
  for (const out of ["base", "tuned"]) {
    for (const [program, args] of [
      ["sinter", ["lora", "extract", "tuned", "base", out, "--force"]],
      ["mergekit-extract-lora", [...named, "--out-path", out, "--skip-undecomposable", "-e", "embed", "-e", "lm_head"]],
    ] as const) {
      const { exitCode, stderr } = await work.run(program, [...args]);
      expect([exitCode, stderr]).toEqual([1, expect.stringContaining("the output folder must be apart from")]);
    }
  }
  expect(["base", "tuned"].map((name) => readFileSync(work.path(name, "model.safetensors")))).toEqual(before);
  await run("sinter", "lora", "extract", "tuned", "base", "own", "-r", "4", "--quiet");
  const { exitCode } = await work.run("sinter", ["lora", "convert", "own", "own", "--rank", "2", "--force"]);
  expect(exitCode).toBe(1);
});

test("a dry run says what an extraction comes to at most, and writes nothing", async () => {
  const args = ["lora", "extract", "tuned", "base", "planned", "--rank", "auto", "--max-rank", "5"];
  expect(await run("sinter", ...args, "--dry-run")).toMatch(/^14 modules of rank at most 5, \d+ tensors saved whole\n/);
  const bound = JSON.parse(await run("sinter", ...args, "--dry-run", "--json"));
  expect(bound).toMatchObject({ dry_run: true, exact: false });
  expect(work.list("planned")).toBeUndefined();
  await run("sinter", ...args, "--energy", "1");
  const size = statSync(work.path("planned", "adapter_model.safetensors")).size;
  expect(bound.bytes_written).toBe(size);
  await run("sinter", ...args, "--energy", "0.1", "--force");
  expect(statSync(work.path("planned", "adapter_model.safetensors")).size).toBeLessThan(size);
});

test("a device that is not there ends an extraction before any work, and the CPU is no device", async () => {
  const args = ["tuned", "base", "nowhere"];
  for (const program of ["sinter", "mergekit-extract-lora"] as const) {
    const named =
      program === "sinter"
        ? ["lora", "extract", ...args]
        : ["--model", "tuned", "--base-model", "base", "--out-path", "nowhere"];
    const { exitCode, stderr } = await work.run(program, [...named, "--device", "cuda:999"]);
    expect([exitCode, stderr.split("\n")[0]]).toEqual([
      1,
      expect.stringMatching(/^error: there is no cuSOLVER to decompose with: /),
    ]);
    expect(work.list("nowhere")).toBeUndefined();
  }
  const { exitCode, stderr } = await work.run("sinter", ["lora", "extract", ...args, "--device", "gpu"]);
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining('"gpu" is no device that decompositions run on')]);
});

test("mergekit's program writes the same, with its options", async () => {
  const args = ["--model", "tuned", "--base-model", "base", "--out-path", "theirs", "--max-rank", "16"];
  await run(
    "mergekit-extract-lora",
    ...args,
    "-e",
    "nowhere",
    "-i",
    "proj",
    "-i",
    "norm",
    "--lora-merge-cache",
    "unused",
  );
  const config = work.config("merge_method: passthrough\nmodels: [{model: ./base+./theirs}]\n");
  await run("mergekit-yaml", config, "applied");
  expect(distance("applied")).toBeLessThan(1e-6);
});

test("a cache of models with adapters is written only when asked for, and used again", async () => {
  await run("sinter", "lora", "extract", "tuned", "base", "kept", "-r", "4");
  const config = work.config("merge_method: passthrough\nmodels: [{model: ./base+./kept}]\n");
  await run("mergekit-yaml", config, "direct");
  expect(work.list("cache")).toBeUndefined();
  await run("mergekit-yaml", config, "cached", "--lora-merge-cache", "cache", "--lora-merge-dtype", "float32");
  const [name = ""] = work.list("cache") ?? [];
  expect(name).toMatch(/^base_\d+_kept_\d+$/);
  const bytes = (folder: string) => readFileSync(work.path(folder, "model.safetensors"));
  expect(bytes("cached").equals(bytes("direct"))).toBe(true);
  const { mtimeMs } = statSync(work.path("cache", name, "model.safetensors"));
  await run("sinter", "merge", config, "again-cached", "--lora-merge-cache", "cache");
  expect(statSync(work.path("cache", name, "model.safetensors")).mtimeMs).toBe(mtimeMs);
});
