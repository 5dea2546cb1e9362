import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEMO } from "../../scripts/family/shape.ts";
import { writeSparseModel } from "../../scripts/family/write.ts";
import { ROOT } from "../../scripts/paths.ts";
import { readLayerStack } from "../../src/config/bakllama.ts";
import { readMultiConfig } from "../../src/config/multi.ts";
import { loadMergeConfig, readMergeConfig } from "../../src/config/read.ts";
import { Report } from "../../src/errors.ts";
import { loadMixtureConfig } from "../../src/moe/config.ts";
import { type MixturePlan, planMixture } from "../../src/moe/plan.ts";
import { checkExperts } from "../../src/moe/prompt-check.ts";
import { buildPlan } from "../../src/plan/build.ts";
import { buildRawPlan } from "../../src/plan/raw.ts";
import { DEFAULT_OPTIONS, type MergePlan } from "../../src/plan/types.ts";
import { layerStackText } from "../../src/recipes/bakllama.ts";
import { planMulti } from "../../src/recipes/multi-plan.ts";
import { factorShapes, someTensors, writeAdapter } from "../lora/peft.ts";

const EXAMPLES = join(ROOT, "examples");
const before = process.cwd();
const folder = mkdtempSync(join(tmpdir(), "sinter-examples-"));

/** Where the demo's models would be, models of the same shape without content. */
beforeAll(() => {
  for (const name of ["base", "chat", "code"]) writeSparseModel(join(folder, "demo", "models", name), DEMO, 60e6);
  const { hidden } = DEMO;
  const q = "model.layers.0.self_attn.q_proj";
  const factors = someTensors(factorShapes({ [q]: [hidden, hidden] }, 4), 1);
  writeAdapter(join(folder, "demo", "adapter"), {}, factors);
  process.chdir(folder);
});

afterAll(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true });
});

function plan(name: string): MergePlan {
  const report = new Report();
  const config = loadMergeConfig(join(EXAMPLES, name), { strict: true }, report);
  const result = buildPlan(config, { ...DEFAULT_OPTIONS, strict: true }, "merged", report);
  report.throwIfErrors();
  return result;
}

function planMoe(path: string): MixturePlan {
  const report = new Report();
  const config = loadMixtureConfig(path, { strict: true }, report);
  checkExperts(config, false, report);
  report.throwIfErrors();
  return planMixture(config, { ...DEFAULT_OPTIONS, strict: true, expertLayout: "separate" }, "mixture", report);
}

function recipesIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith(".yml"));
}

describe("examples", () => {
  for (const name of recipesIn(EXAMPLES)) {
    test(`${name} plans without an error or a warning`, () => {
      const { ops, warnings, method } = plan(name);
      expect(warnings).toEqual([]);
      expect(ops.length).toBeGreaterThan(20);
      expect(readFileSync(join(EXAMPLES, name), "utf8")).toContain(`merge_method: ${method}\n`);
    });
  }

  for (const name of recipesIn(join(EXAMPLES, "moe"))) {
    test(`moe/${name} plans without an error or a warning`, () => {
      const { plan: mixture } = planMoe(join(EXAMPLES, "moe", name));
      expect(mixture.warnings).toEqual([]);
      expect(mixture.ops.length).toBeGreaterThan(40);
      expect(mixture.tied.map(({ tensor }) => tensor)).toEqual(["lm_head.weight"]);
    });
  }

  test("the stack has the layers of both its slices, renumbered", () => {
    const layers = new Set(plan("passthrough-stack.yml").ops.map(({ tensor }) => /layers\.(\d+)/.exec(tensor)?.[1]));
    expect([...layers].filter((layer) => layer !== undefined).toSorted()).toEqual(["0", "1", "2", "3", "4"]);
  });

  test("a model that is in a slice twice gives both of its layers", () => {
    const op = plan("same-model-twice.yml").ops.find(({ tensor }) => tensor === "model.layers.1.mlp.up_proj.weight");
    expect(op?.inputs.map(({ tensor }) => tensor)).toEqual([
      "model.layers.1.mlp.up_proj.weight",
      "model.layers.2.mlp.up_proj.weight",
    ]);
  });
});

describe("examples of other programs", () => {
  const text = (name: string) => readFileSync(join(EXAMPLES, "programs", name), "utf8");
  const options = { ...DEFAULT_OPTIONS, strict: true };

  test("multi.yml plans both of its merges without a warning", () => {
    const report = new Report();
    const multi = readMultiConfig(text("multi.yml"), "multi.yml", { strict: true }, report);
    const merges = planMulti(multi, options, { intermediate: "work", out: "merged" }, report);
    expect(merges.map(({ name, needs }) => [name, needs])).toEqual([
      ["average", []],
      [undefined, [0]],
    ]);
    expect(report.warnings).toEqual([]);
  });

  test("raw-blocks.yml weighs the layers of both files against each other", () => {
    const report = new Report();
    const config = readMergeConfig(text("raw-blocks.yml"), "raw.yml", { strict: true }, report);
    const { ops } = buildRawPlan(config, options, "all", report);
    const params = (tensor: string) => ops.find((op) => op.tensor === tensor)?.params;
    expect(params("model.layers.0.mlp.up_proj.weight")).toEqual([0.9, 0.1]);
    expect(params("model.norm.weight")).toEqual([0.5, 0.5]);
    expect(report.warnings).toEqual([]);
  });

  test("bakllama.yml stacks four layers", () => {
    const report = new Report();
    const stack = readLayerStack(text("bakllama.yml"), "bakllama.yml", { strict: true }, report);
    const config = readMergeConfig(layerStackText(stack, false), "stack.yml", { strict: true }, report);
    const { ops } = buildPlan(config, options, "stacked", report);
    expect(ops.some(({ tensor }) => tensor.startsWith("model.layers.3."))).toBe(true);
    expect(report.warnings).toEqual([]);
  });
});
