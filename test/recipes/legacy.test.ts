import { describe, expect, test } from "bun:test";
import { parse } from "yaml";
import { type LegacyMerge, legacyText } from "../../src/recipes/legacy.ts";

const MERGE: LegacyMerge = {
  models: ["a", "b"],
  densities: [],
  weights: [],
  method: "ties",
  base: "base",
  normalize: true,
  int8Mask: false,
  bf16: false,
  naiveCount: false,
};
const yaml = (merge: Partial<LegacyMerge>) => parse(legacyText({ ...MERGE, ...merge }));

describe("options of mergekit-legacy", () => {
  test("a weight that is not given is 1", () => {
    expect(yaml({}).models).toEqual([
      { model: "a", parameters: { weight: 1 } },
      { model: "b", parameters: { weight: 1 } },
      { model: "base", parameters: { weight: 1 } },
    ]);
    expect(yaml({ method: "model_stock" }).models[0]).toEqual({ model: "a" });
  });

  test("one number is for all, several are for the models in turn", () => {
    const { models } = yaml({ weights: [0.6, 0.4], densities: [0.5] });
    expect(models.slice(0, 2)).toEqual([
      { model: "a", parameters: { density: 0.5, weight: 0.6 } },
      { model: "b", parameters: { density: 0.5, weight: 0.4 } },
    ]);
  });

  test("a base among the models is not added to them", () => {
    expect(yaml({ base: "a" }).models).toHaveLength(2);
  });

  test("slerp's weight is its t", () => {
    expect(yaml({ method: "slerp", base: "a", weights: [0.3] })).toEqual({
      merge_method: "slerp",
      base_model: "a",
      models: [{ model: "a" }, { model: "b" }],
      parameters: { t: 0.3 },
    });
  });

  test("flags become parameters and dtype", () => {
    const { parameters, dtype } = yaml({ normalize: false, int8Mask: true, naiveCount: true, bf16: true });
    expect(parameters).toEqual({ normalize: false, int8_mask: true, naive_count: true });
    expect(dtype).toBe("bfloat16");
  });

  test.each([
    [{ models: [] }, "there is nothing to merge"],
    [{ method: "slerp", weights: [] }, "slerp takes one --weight"],
    [{ weights: [1, 2, 3, 4] }, "--weight is given 4 times, for 3 models"],
    [{ densities: [1, 1, 1, 1, 1] }, "--density is given 5 times"],
  ] as const)("%j is refused", (merge, message) => {
    expect(() => legacyText({ ...MERGE, ...merge })).toThrow(message);
  });
});
