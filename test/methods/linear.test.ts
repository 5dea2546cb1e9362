import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { lower, lowered } from "./lowering.ts";

describe("linear", () => {
  test("divides the weights by their sum", () => {
    expect(lowered("linear", [{ weight: 1 }, { weight: 3 }])).toEqual({
      kernel: "linear",
      inputs: [0, 1],
      params: [0.25, 0.75],
    });
  });

  test("takes the weights as they are without normalize", () => {
    const plain = lowered("linear", [{ weight: 0.7 }, { weight: 0.4 }], { normalize: false });
    expect(plain.params).toEqual([0.7, 0.4]);
    expect(lowered("linear", [{ weight: 0.7 }, { weight: 0.4 }], { normalize: 0 }).params).toEqual([0.7, 0.4]);
  });

  test("keeps an input whose weight is 0, so that its NaN still shows", () => {
    expect(lowered("linear", [{ weight: 0 }, { weight: 0.5 }])).toEqual({
      kernel: "linear",
      inputs: [0, 1],
      params: [0, 1],
    });
  });

  test("one model is copied, whatever its weight", () => {
    expect(lowered("linear", [{ weight: 0.3 }])).toEqual({ kernel: "copy", inputs: [0], params: [] });
  });

  test("one model is scaled by its weight without normalize", () => {
    expect(lowered("linear", [{ weight: 0.3 }], { normalize: false })).toEqual({
      kernel: "linear",
      inputs: [0],
      params: [0.3],
    });
  });

  test("a base among the inputs is a model like the others", () => {
    expect(lowered("linear", [{ weight: 1 }, { weight: 1, base: true }]).params).toEqual([0.5, 0.5]);
  });

  test.each([
    [[1, -1]],
    [[0, 0]],
    // 0.1 + 0.2 - 0.3 is 5.6e-17 in float64: no divisor, only rounding error.
    [[0.1, 0.2, -0.3]],
  ])("refuses weights that sum to zero: %j", (weights) => {
    const inputs = weights.map((weight) => ({ weight }));
    expect(lower("linear", inputs)).toMatchObject({ code: "weights-sum-zero" });
    expect(lowered("linear", inputs, { normalize: false }).params).toEqual(weights);
  });

  test("a truth value counts as 1 or 0", () => {
    expect(lowered("linear", [{ weight: true }, { weight: 3 }]).params).toEqual([0.25, 0.75]);
  });

  test("normalized coefficients sum to 1", () => {
    const weight = fc.double({ min: 0.001, max: 1000, noNaN: true });
    fc.assert(
      fc.property(fc.array(weight, { minLength: 2, maxLength: 9 }), (weights) => {
        const { params } = lowered(
          "linear",
          weights.map((w) => ({ weight: w })),
        );
        expect(params.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
      }),
    );
  });
});
