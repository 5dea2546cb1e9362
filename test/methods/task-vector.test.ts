import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { lower, lowered, method } from "./lowering.ts";

const family = ["task_arithmetic", "ties", "dare_linear", "dare_ties"];

describe.each(family)("%s", (name) => {
  test("reads the base first, then the models in their order", () => {
    const result = lowered(name, [{ weight: 0.5 }, { base: true }, { weight: 0.3 }]);
    expect(result.kernel).toBe(name);
    expect(result.inputs).toEqual([1, 0, 2]);
    expect([result.params[3], result.params[5]]).toEqual([0.5, 0.3]);
  });

  test("sources that are the base are left out", () => {
    const result = lowered(name, [{ base: true, weight: 1 }, { weight: 0.3 }, { base: true }]);
    expect(result.inputs).toEqual([0, 1]);
    expect(result.params).toHaveLength(5);
  });

  test("with no model besides it, the base is copied", () => {
    expect(lowered(name, [{ base: true }])).toEqual({ kernel: "copy", inputs: [0], params: [] });
  });

  test("refuses inputs without a base", () => {
    expect(lower(name, [{ weight: 1 }])).toMatchObject({ code: "base-missing" });
  });

  test("lambda, normalize and rescale lead the numbers", () => {
    const on = { lambda: 0.7, normalize: true, rescale: true };
    const off = { lambda: 2, normalize: false, rescale: 0 };
    const inputs = [{ base: true }, { weight: 1 }];
    expect(lowered(name, inputs, on).params.slice(0, 3)).toEqual([0.7, 1, 1]);
    expect(lowered(name, inputs, off).params.slice(0, 3)).toEqual([2, 0, 0]);
  });

  test("int8_mask changes nothing", () => {
    const inputs = [{ base: true }, { weight: 1, density: 0.5 }];
    expect(lowered(name, inputs, { int8_mask: true })).toEqual(lowered(name, inputs));
  });

  test("a weight is required, a density is not negative", () => {
    const parameters = Object.fromEntries(method(name).parameters.map((spec) => [spec.name, spec]));
    expect(parameters.weight).toMatchObject({ required: true, scope: "model" });
    expect(parameters.density).toMatchObject({ min: 0, default: 1, scope: "model" });
  });
});

test.each([
  ["task_arithmetic", 0, 0],
  ["ties", 1, 0],
  ["dare_linear", 0, 1],
  ["dare_ties", 0, 1],
])("%s: normalize is %d and rescale %d unless set", (name, normalize, rescale) => {
  expect(lowered(name, [{ base: true }, { weight: 1 }]).params.slice(0, 3)).toEqual([1, normalize, rescale]);
});

const keep = (name: string, density: number, count = 100) =>
  lowered(name, [{ base: true }, { weight: 1, density }], {}, count).params[4];

describe("how much of a difference is kept", () => {
  test("ties counts elements, rounded down", () => {
    expect(keep("ties", 0.5, 101)).toBe(50);
    expect(keep("ties", 0.999, 100)).toBe(99);
    // In float64 0.29 x 100 is 28.999999999999996, as it is in the reference.
    expect(keep("ties", 0.29, 100)).toBe(28);
    expect(keep("ties", 0.5, 1)).toBe(0);
    expect(keep("ties", 0, 100)).toBe(0);
  });

  test("ties keeps all from a density of 1 on", () => {
    expect(keep("ties", 1)).toBe(-1);
    expect(keep("ties", 1.5)).toBe(-1);
  });

  test("dare keeps with a probability of at most 1", () => {
    expect(keep("dare_ties", 0.3)).toBe(0.3);
    expect(keep("dare_linear", 0)).toBe(0);
    expect(keep("dare_linear", 7)).toBe(1);
  });

  test("task_arithmetic keeps all whatever the density", () => {
    expect(keep("task_arithmetic", 0.2)).toBe(-1);
  });

  test("ties never keeps more than there is", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(1e9), (density, count) => {
        const kept = keep("ties", density, count) as number;
        expect(Number.isInteger(kept)).toBe(true);
        expect(kept).toBeGreaterThanOrEqual(0);
        expect(kept).toBeLessThanOrEqual(count);
      }),
    );
  });
});
