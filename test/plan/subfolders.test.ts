import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readMergeConfig } from "../../src/config/read.ts";
import { Report, type SinterError } from "../../src/errors.ts";
import { buildPlan } from "../../src/plan/build.ts";
import { safetensorsHeader } from "../../src/plan/safetensors-layout.ts";
import { DEFAULT_OPTIONS } from "../../src/plan/types.ts";
import { valuesOf } from "../conformance/kit.ts";
import { readSafetensors, writeSafetensors } from "../support/safetensors.ts";

const root = mkdtempSync(join(tmpdir(), "sinter-subfolders-"));
const definition = join(root, "pair.json");
afterAll(() => rmSync(root, { recursive: true }));

/** bfloat16 of 1.0, 2.0, 4.0, …: halves add up exactly. */
const ONE = 0x3f80;

function tensors(names: readonly string[], value: number) {
  const bytes = () => new Uint8Array(new Uint16Array(4).fill(value).buffer);
  return new Map(names.map((name) => [name, { dtype: "BF16" as const, shape: [4], bytes: bytes() }]));
}

function family(subfolder: string) {
  return {
    model_types: ["pair"],
    architectures: ["PairModel"],
    config: { vocab_size: "vocab_size", tie: "tie", defaults: {} },
    modules: {
      text: { layer_count: "layers", layer: [`x.\${layer}.w`] },
      other: { subfolder, before: ["w"], after: ["norm"] },
    },
  };
}

beforeAll(() => {
  writeFileSync(definition, JSON.stringify(family("part")));
  for (const [name, value] of [["a", ONE] as const, ["b", ONE + 0x80] as const]) {
    mkdirSync(join(root, name, "part"), { recursive: true });
    const config = { architectures: ["PairModel"], model_type: "pair", layers: 2 };
    writeFileSync(join(root, name, "config.json"), JSON.stringify(config));
    writeFileSync(join(root, name, "part", "config.json"), `{"of": "${name}"}`);
    writeSafetensors(join(root, name, "model.safetensors"), tensors(["x.0.w", "x.1.w"], value));
    writeSafetensors(join(root, name, "part", "model.safetensors"), tensors(["w", "norm"], value));
  }
});

const recipe = () =>
  `merge_method: linear\nmodels: [{model: ${join(root, "a")}}, {model: ${join(root, "b")}}]\nparameters: {weight: 1}`;

function planned(outShardSize = DEFAULT_OPTIONS.outShardSize) {
  const report = new Report();
  const config = readMergeConfig(recipe(), "recipe.yml", { strict: false }, report);
  const options = { ...DEFAULT_OPTIONS, outShardSize, architectures: definition };
  return buildPlan(config, options, "merged", report);
}

describe("a module in a folder of its own", () => {
  test("is read from there, and written there under its own names, its other files beside it", () => {
    const plan = planned();
    expect(plan.ops.map(({ tensor }) => tensor)).toEqual(["x.0.w", "x.1.w", "part/w", "part/norm"]);
    expect(plan.shards.map(({ file }) => file)).toEqual(["model.safetensors", "part/model.safetensors"]);
    expect(Buffer.from(safetensorsHeader(plan, 1)).toString()).toContain('"w":{"dtype":"BF16"');
    expect(plan.sideFiles).toContainEqual({ name: "part/config.json", from: join(root, "a", "part", "config.json") });
    expect(plan.inputFiles.map(({ path }) => path)).toContain(join(root, "b", "part", "model.safetensors"));
  });

  test("has an index of its own where it takes several files", () => {
    const plan = planned(8);
    expect(plan.shards.map(({ file }) => file)).toContain("part/model-00002-of-00002.safetensors");
    const index = plan.sideFiles.find(({ name }) => name === "part/model.safetensors.index.json");
    expect(JSON.parse(index && "text" in index ? index.text : "").weight_map).toEqual({
      norm: "model-00002-of-00002.safetensors",
      w: "model-00001-of-00002.safetensors",
    });
    expect(JSON.parse(plan.index?.text ?? "").weight_map["x.1.w"]).toBe("model-00002-of-00002.safetensors");
  });

  test.each([["../a"], ["/etc"], ["nowhere"], ["part/.."]])("in %s is refused by name", (subfolder) => {
    writeFileSync(definition, JSON.stringify(family(subfolder)));
    try {
      planned();
      throw new Error("the plan was made");
    } catch (error) {
      expect((error as SinterError).problems?.[0]).toMatchObject({ code: "no-weights" });
    } finally {
      writeFileSync(definition, JSON.stringify(family("part")));
    }
  });
});

const ROOT = resolve(import.meta.dir, "../..");
const ADDON_BUILT = existsSync(join(ROOT, "build", "Release", "sinter.node"));

test.skipIf(!ADDON_BUILT)("is there once the merge is", () => {
  writeFileSync(join(root, "merge.yml"), recipe());
  const args = ["merge", join(root, "merge.yml"), join(root, "out"), "--architectures", definition, "-q"];
  const { exitCode, stderr } = Bun.spawnSync([join(ROOT, "bin", "sinter"), ...args], {
    env: { ...process.env, SINTER_BUN: process.execPath },
  });
  expect([exitCode, stderr.toString().includes("error")]).toEqual([0, false]);
  expect(readdirSync(join(root, "out", "part")).sort()).toEqual(["config.json", "model.safetensors"]);
  const merged = readSafetensors(join(root, "out", "part", "model.safetensors")).tensors;
  expect([...merged.keys()].sort()).toEqual(["norm", "w"]);
  const values = valuesOf(merged.get("w") as NonNullable<ReturnType<typeof merged.get>>);
  expect([...values]).toEqual([1.5, 1.5, 1.5, 1.5]);
});
