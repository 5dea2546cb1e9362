import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Report } from "../../src/errors.ts";
import { recipeOptions } from "../../src/plan/recipe.ts";
import { DEFAULT_OPTIONS } from "../../src/plan/types.ts";
import { MANIFEST_NAME, manifestText, readManifest } from "../../src/run/manifest.ts";
import { fixture } from "./plan-fixture.ts";

const recipe = { program: "merge" as const, text: "merge_method: linear\n", options: recipeOptions(DEFAULT_OPTIONS) };

function written(change: (json: Record<string, unknown>) => unknown = (json) => json) {
  const { plan, root } = fixture();
  const results = ["a", "b", "c", "d"].map((checksum) => ({ checksum, crc32: 0 }));
  const text = manifestText({ ...plan, recipe }, results, new Map([["config.json", { bytes: 7, sha256: "e" }]]));
  mkdirSync(join(root, "model"));
  writeFileSync(join(root, "model", MANIFEST_NAME), JSON.stringify(change(JSON.parse(text))));
  const report = new Report();
  return { manifest: readManifest(join(root, "model"), report), codes: report.errors.map(({ code }) => code) };
}

test("a manifest reads as what was written", () => {
  const { manifest, codes } = written();
  expect(codes).toEqual([]);
  expect(manifest?.recipe).toEqual(recipe);
  expect(manifest?.tensors.get("t2")).toEqual({ dtype: "F32", shape: [4], checksum: "c" });
  expect(manifest?.files.get("config.json")).toEqual({ bytes: 7, sha256: "e" });
  expect([...(manifest?.files.keys() ?? [])]).toEqual([
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
  ]);
});

test.each([
  ["no plan", (json: Record<string, unknown>) => ({ ...json, plan: undefined })],
  ["tensors that are a list", (json: Record<string, unknown>) => ({ ...json, tensors: [] })],
  [
    "a shape of no numbers",
    (json: Record<string, unknown>) => ({ ...json, tensors: { t: { dtype: "F32", shape: ["4"], xxh3_128: "a" } } }),
  ],
  [
    "an unknown dtype",
    (json: Record<string, unknown>) => ({ ...json, tensors: { t: { dtype: "Q4", shape: [], xxh3_128: "a" } } }),
  ],
])("one with %s is refused", (_, change) => {
  expect(written(change)).toEqual({ manifest: undefined, codes: ["bad-manifest"] });
});

test.each([
  ["another program", { ...recipe, program: "rm" }],
  ["an option of another type", { ...recipe, options: { ...recipe.options, outShardSize: "5" } }],
  ["an option that there is not", { ...recipe, options: { ...recipe.options, cacheDir: "/" } }],
  ["no options", { ...recipe, options: undefined }],
])("a recipe with %s counts as none", (_, other) => {
  expect(written((json) => ({ ...json, recipe: other })).manifest?.recipe).toBeUndefined();
});

test("a folder without one, and one that is no JSON, are errors", () => {
  const { root } = fixture();
  const report = new Report();
  expect(readManifest(root, report)).toBeUndefined();
  writeFileSync(join(root, MANIFEST_NAME), "{");
  expect(readManifest(root, report)).toBeUndefined();
  expect(report.errors.map(({ code }) => code)).toEqual(["no-manifest", "invalid-json"]);
});
