import { describe, expect, test } from "bun:test";
import { planHash } from "../../src/plan/hash.ts";
import type { MergeOptions } from "../../src/plan/types.ts";
import { plan, tinyModel } from "./models.ts";

const dare = (weight = 1, folder = "") => `
merge_method: dare_linear
base_model: ${folder}base
models: [{model: ${folder}a, parameters: {weight: ${weight}, density: 0.5}}]
`;
const hash = (yaml: string, options: Partial<MergeOptions> = {}, folder = "") =>
  planHash(plan(yaml, [tinyModel(`${folder}base`), tinyModel(`${folder}a`)], options).plan);

describe("the hash of a plan", () => {
  test("is the same for the same merge, wherever the models lie", () => {
    expect(hash(dare())).toMatch(/^[0-9a-f]{64}$/);
    expect(hash(dare())).toBe(hash(dare()));
    expect(hash(dare(1, "/other/"), {}, "/other/")).toBe(hash(dare()));
  });

  test("changes with numbers, seed, shards and format", () => {
    const hashes = [
      hash(dare()),
      hash(dare(2)),
      hash(`${dare()}dtype: float32\n`),
      hash(dare(), { seed: 1 }),
      hash(dare(), { outShardSize: 100 }),
      hash(dare(), { safeSerialization: false }),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  test("changes with the models' order", () => {
    const two = (first: string, second: string) =>
      hash(`merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: ${first}}, {model: ${second}}]`);
    expect(two("a", "base")).not.toBe(two("base", "a"));
  });

  test("does not depend on what stands beside the weights", () => {
    expect(hash(dare(), { writeModelCard: false, copyTokenizer: false })).toBe(hash(dare()));
  });
});
