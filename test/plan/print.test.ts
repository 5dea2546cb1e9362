import { describe, expect, test } from "bun:test";
import { planHash } from "../../src/plan/hash.ts";
import { planJson, planText } from "../../src/plan/print.ts";
import { plan, tinyModel } from "./models.ts";

const { plan: merged } = plan(
  "merge_method: ties\nbase_model: base\nparameters: {weight: 1, density: 0.5}\nmodels: [{model: a}]",
  [tinyModel("base", { tied: true }), tinyModel("a", { tied: true })],
  { outShardSize: 200, seed: 7 },
);

describe("a plan as text", () => {
  const text = planText(merged, 123_456_789);

  test("says what is read and written, in which files", () => {
    expect(text).toContain("method   ties\n");
    expect(text).toContain("models   a, base\n");
    expect(text).toContain("kernels  ties 20\n");
    expect(text).toContain("tensors  20 (284 parameters, BF16 20)\n");
    expect(text).toContain("read     1.14 kB from 2 files\n");
    expect(text).toContain("         model-00001-of-00004.safetensors  ");
    expect(text).toContain("tied     lm_head.weight follows model.embed_tokens.weight: not stored\n");
  });

  test("says how much memory it takes, where that is known", () => {
    expect(text).toContain("memory   at most 123 MB\n");
    expect(planText(merged)).not.toContain("memory");
  });

  test("ends with seed and hash", () => {
    expect(text).toEndWith(`seed     7\nhash     ${planHash(merged)}\n`);
  });
});

test("a plan as JSON is the whole plan, its hash and its memory", () => {
  const { hash, peakMemory, ...rest } = JSON.parse([...planJson(merged, 5)].join(""));
  expect({ hash, peakMemory }).toEqual({ hash: planHash(merged), peakMemory: 5 });
  expect(rest).toEqual(JSON.parse(JSON.stringify(merged)));
});
