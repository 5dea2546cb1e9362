import { expect, test } from "bun:test";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Report } from "../../src/errors.ts";
import type { MergePlan } from "../../src/plan/types.ts";
import { type FinishStep, finishSteps, performStep } from "../../src/run/finish.ts";
import { inspectOutput, plannedNames } from "../../src/run/output.ts";
import { runPlan } from "../../src/run/run.ts";
import { fakeAddon } from "./fake-addon.ts";
import { type FixtureOptions, fixture, fixturePlan, OPTIONS, SILENT, temporaryFolder } from "./plan-fixture.ts";

/** The weight files that a reader such as transformers opens: single file first, then the index, then torch's. */
function opens(folder: string): string[] | undefined {
  for (const stem of ["model.safetensors", "pytorch_model.bin"]) {
    if (existsSync(join(folder, stem))) return [stem];
    const index = join(folder, `${stem}.index.json`);
    if (existsSync(index)) {
      return [...new Set(Object.values<string>(JSON.parse(readFileSync(index, "utf8")).weight_map))];
    }
  }
  return undefined;
}

/** `whole 1`: the folder opens as a model, all of whose files come from generation 1; else `torn` or `none`. */
function look(folder: string): string {
  const weights = opens(folder);
  if (weights === undefined || !existsSync(join(folder, "config.json"))) return "none";
  if (!weights.every((name) => existsSync(join(folder, name)))) return "torn";
  const generations = new Set(weights.map((name) => readFileSync(join(folder, name)).at(0)));
  generations.add(JSON.parse(readFileSync(join(folder, "config.json"), "utf8")).generation);
  return generations.size === 1 ? `whole ${[...generations][0]}` : "torn";
}

/** Puts every file of the plan into the folder under a temporary name; weights hold the generation only. */
function stageAll(plan: MergePlan, folder: string, generation: number): void {
  for (const name of plannedNames(plan)) {
    const text = name === plan.index?.name ? plan.index.text : `{"generation": ${generation}}`;
    const weights = plan.shards.some((shard) => shard.file === name);
    writeFileSync(join(folder, `${name}.tmp`), weights ? Uint8Array.of(generation) : text);
  }
}

function perform(steps: readonly FinishStep[], folder: string): void {
  for (const step of steps) performStep(step, folder, false);
}

/** What a reader finds after a crash before each step, and after the last. */
function crashes(before: FixtureOptions | undefined, after: FixtureOptions): string[] {
  const root = temporaryFolder();
  const start = temporaryFolder();
  if (before) {
    const old = fixturePlan(root, before);
    stageAll(old, start, 1);
    perform(finishSteps(old, inspectOutput(old, start, true, new Report())), start);
    expect(look(start)).toBe("whole 1");
  }
  const plan = fixturePlan(root, after);
  const steps = finishSteps(plan, inspectOutput(plan, start, true, new Report()));
  return Array.from({ length: steps.length + 1 }, (_, done) => {
    const folder = temporaryFolder();
    cpSync(start, folder, { recursive: true });
    stageAll(plan, folder, 2);
    perform(steps.slice(0, done), folder);
    return look(folder);
  });
}

const SINGLE: FixtureOptions = { perShard: 99 };
const TWO: FixtureOptions = { perShard: 2 };
const FOUR: FixtureOptions = { perShard: 1 };
const TORCH_SINGLE: FixtureOptions = { perShard: 99, format: "torch" };
const TORCH_TWO: FixtureOptions = { perShard: 2, format: "torch" };
const LAYOUTS = { SINGLE, TWO, FOUR, TORCH_SINGLE, TORCH_TWO };

test.each(Object.entries(LAYOUTS))("a new folder (%s) looks like no model until it is whole", (_, layout) => {
  const seen = crashes(undefined, layout);
  expect(seen.at(-1)).toBe("whole 2");
  expect(seen.slice(0, seen.indexOf("whole 2")).every((state) => state === "none")).toBe(true);
  expect(seen).not.toContain("torn");
});

const PAIRS = Object.keys(LAYOUTS).flatMap((from) => Object.keys(LAYOUTS).map((to) => [from, to] as const));

test.each(PAIRS)("replacing %s by %s is the old model, then none, then the new one", (from, to) => {
  const seen = crashes(LAYOUTS[from as keyof typeof LAYOUTS], LAYOUTS[to as keyof typeof LAYOUTS]);
  const phases = seen.filter((state, i) => state !== seen[i - 1]);
  expect(phases).toEqual(["whole 1", "none", "whole 2"]);
});

test("the old index goes first, the new index is the last file to get its name, then stale shards go", () => {
  const root = temporaryFolder();
  const folder = temporaryFolder();
  const old = fixturePlan(root, FOUR);
  stageAll(old, folder, 1);
  perform(finishSteps(old, inspectOutput(old, folder, true, new Report())), folder);
  const plan = fixturePlan(root, TWO);
  const steps = finishSteps(plan, inspectOutput(plan, folder, true, new Report())).filter(
    ({ kind }) => kind !== "sync",
  );
  expect(steps.map((step) => (step.kind === "sync" ? "" : `${step.kind} ${step.file}`))).toEqual([
    "remove model.safetensors.index.json",
    "publish config.json",
    "publish tokenizer.json",
    "publish sinter_manifest.json",
    "publish model-00001-of-00002.safetensors",
    "publish model-00002-of-00002.safetensors",
    "publish model.safetensors.index.json",
    "remove model-00001-of-00004.safetensors",
    "remove model-00002-of-00004.safetensors",
    "remove model-00003-of-00004.safetensors",
    "remove model-00004-of-00004.safetensors",
  ]);
});

test("a single shard is the last file to get its name", () => {
  const { plan, out } = fixture(SINGLE);
  const steps = finishSteps(plan, inspectOutput(plan, out, false, new Report()));
  expect(steps.findLast(({ kind }) => kind === "publish")).toEqual({ kind: "publish", file: "model.safetensors" });
});

test("the disk has everything else before the last file gets its name", () => {
  const { plan, out } = fixture(TWO);
  const steps = finishSteps(plan, inspectOutput(plan, out, false, new Report()));
  expect(steps.slice(-3).map(({ kind }) => kind)).toEqual(["sync", "publish", "sync"]);
});

test("shards keep temporary names until the last of them is complete", async () => {
  const { plan, out } = fixture(FOUR);
  const addon = fakeAddon({
    onCommit() {
      expect(readdirSync(out).filter((name) => !name.endsWith(".tmp"))).toEqual([]);
    },
  });
  await runPlan(plan, out, OPTIONS, addon, SILENT);
  expect(readdirSync(out).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

test("replacing a model leaves no file of its weights", async () => {
  const { root, plan, out } = fixture(FOUR);
  await runPlan(plan, out, OPTIONS, fakeAddon(), SILENT);
  await runPlan(fixturePlan(root, TORCH_TWO), out, { ...OPTIONS, force: true }, fakeAddon(), SILENT);
  expect(readdirSync(out).sort()).toEqual([
    "config.json",
    "pytorch_model-00001-of-00002.bin",
    "pytorch_model-00002-of-00002.bin",
    "pytorch_model.bin.index.json",
    "sinter_manifest.json",
    "tokenizer.json",
  ]);
});
