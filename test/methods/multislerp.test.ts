import { describe, expect, test } from "bun:test";
import { lower, lowered } from "./lowering.ts";

describe("multislerp", () => {
  test("the weights follow normalize_weights and eps", () => {
    const three = [{ weight: 0.5 }, { weight: 0.3 }, { weight: 1 }];
    expect(lowered("multislerp", three)).toEqual({
      kernel: "multislerp",
      inputs: [0, 1, 2],
      params: [1, 1e-8, 0.5, 0.3, 1],
    });
    expect(lowered("multislerp", three, { normalize_weights: false, eps: 1e-6 }).params).toEqual([
      0, 1e-6, 0.5, 0.3, 1,
    ]);
  });

  test("a base is the first input of a kernel of its own, and has no weight", () => {
    expect(lowered("multislerp", [{ weight: 1 }, { weight: 2 }, { base: true }])).toEqual({
      kernel: "multislerp_base",
      inputs: [2, 0, 1],
      params: [1, 1e-8, 1, 2],
    });
  });

  test("one model is copied, with or without a base; so is the base alone", () => {
    expect(lowered("multislerp", [{ weight: 3 }])).toEqual({ kernel: "copy", inputs: [0], params: [] });
    expect(lowered("multislerp", [{ base: true }, { weight: 3 }])).toEqual({ kernel: "copy", inputs: [1], params: [] });
    expect(lowered("multislerp", [{ base: true }])).toEqual({ kernel: "copy", inputs: [0], params: [] });
  });

  test("an eps of 0 stays above it: a tensor of zeros has no direction", () => {
    expect(lowered("multislerp", [{ weight: 1 }, { weight: 1 }], { eps: 0 }).params[1]).toBeGreaterThan(0);
  });

  test("refuses weights that sum to zero, unless they are not divided by their sum", () => {
    const inputs = [{ weight: 1 }, { weight: -1 }];
    expect(lower("multislerp", inputs)).toMatchObject({
      code: "weights-sum-zero",
      hint: "change a weight, or set normalize_weights: false",
    });
    expect(lowered("multislerp", inputs, { normalize_weights: false }).params.slice(2)).toEqual([1, -1]);
  });
});
