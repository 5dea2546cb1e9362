import { expect, test } from "bun:test";
import pkg from "../../package.json" with { type: "json" };
import { benchJson } from "../../src/bench/json.ts";
import { measured, result } from "./results.ts";

const EFFECT = {
  part: "attention",
  tensors: 3,
  elements: 1000,
  reference_norm: 20,
  change_norm: 2.5,
  relative_change: 0.125,
  cosines: [0.75, -0.25],
  sign_conflicts: 0.4,
  density: 0.5,
};

test("the JSON has the keys that docs/bench.md names", () => {
  const { models, methods, ...rest } = JSON.parse(JSON.stringify(benchJson(result())));
  expect(rest).toEqual({
    format: 1,
    sinter_version: pkg.version,
    reference: "./x/base",
    base: "./x/base",
    machine: { cpu_target: "x86-64-v3", threads: 2 },
    repeat: 3,
    sync: true,
    seed: 7,
    scratch_in_memory: false,
    skipped: [{ method: "slerp", reason: "merges 1 model besides the base, not 2" }],
    warnings: [{ code: "made-up", message: "a warning" }],
  });
  expect(models[0]).toEqual({
    model: "./x/a",
    effects: [EFFECT, { ...EFFECT, part: "mlp" }, { ...EFFECT, part: "total" }],
  });
  expect(methods[0]).toEqual({
    method: "linear",
    device: "cpu",
    recipe: { merge_method: "linear", models: [{ model: "./x/a" }, { model: "./x/b", parameters: { weight: 0.5 } }] },
    seconds: 1.5,
    runs: [2, 1, 1.5],
    gigabytes_per_second: 2,
    bytes_read: 2e9,
    bytes_written: 1e9,
    tensors: 6,
    not_compared: [],
    effects: [EFFECT, { ...EFFECT, part: "mlp", change_norm: 0, cosines: [null, null] }, { ...EFFECT, part: "total" }],
  });
});

test("every key is explained in docs/bench.md", async () => {
  const docs = await Bun.file(`${import.meta.dir}/../../docs/bench.md`).text();
  const keys = new Set<string>();
  JSON.parse(JSON.stringify(benchJson(result())), (key, value) => {
    if (key !== "" && !/^\d+$/.test(key)) keys.add(key);
    return value;
  });
  // A recipe and a warning are explained elsewhere.
  for (const inner of ["merge_method", "model", "weight", "parameters", "code", "message"]) keys.delete(inner);
  for (const key of keys) expect(docs).toContain(`\`${key}\``);
});

test("no base is null", () => {
  expect(JSON.parse(JSON.stringify(benchJson(result({ base: undefined })))).base).toBeNull();
  expect(JSON.parse(JSON.stringify(benchJson(result({ measured: [measured("linear")] })))).methods).toHaveLength(1);
});
