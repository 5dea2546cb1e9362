import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { lower, lowered, method } from "./lowering.ts";

/** Those with two numbers for each model, its weight included, and those with three. */
const TWO = ["task_arithmetic", "ties", "dare_linear", "dare_ties"];
const THREE = ["breadcrumbs", "breadcrumbs_ties", "della_linear", "della"];
const family = [...TWO, ...THREE];
const width = (name: string) => (TWO.includes(name) ? 2 : 3);

describe.each(family)("%s", (name) => {
  test("reads the base first, then the models in their order", () => {
    const result = lowered(name, [{ weight: 0.5 }, { base: true }, { weight: 0.3 }]);
    expect(result.kernel).toBe(name);
    expect(result.inputs).toEqual([1, 0, 2]);
    expect([result.params[3], result.params[3 + width(name)]]).toEqual([0.5, 0.3]);
  });

  test("sources that are the base are left out", () => {
    const result = lowered(name, [{ base: true, weight: 1 }, { weight: 0.3 }, { base: true }]);
    expect(result.inputs).toEqual([0, 1]);
    expect(result.params).toHaveLength(3 + width(name));
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
  ["breadcrumbs", 0, 0],
  ["breadcrumbs_ties", 0, 0],
  ["della_linear", 0, 1],
  ["della", 1, 1],
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

describe("breadcrumbs", () => {
  const parts = (density: number, gamma: number | undefined, count: number) =>
    lowered(
      "breadcrumbs",
      [{ base: true }, { weight: 1, density, ...(gamma === undefined ? {} : { gamma }) }],
      {},
      count,
    ).params.slice(4);

  test("drops the share gamma at the top and keeps the share density below", () => {
    expect(parts(0.6, 0.05, 100)).toEqual([5, 60]);
    expect(parts(0.9, undefined, 1000)).toEqual([10, 900]);
    expect(parts(0.999, 0.001, 101)).toEqual([0, 100]);
  });

  test("drops none where gamma is 0 or the tensor small", () => {
    expect(parts(0.6, 0, 100)).toEqual([0, 60]);
    expect(parts(0.6, 0.01, 99)).toEqual([0, 59]);
  });

  test("drops fewer at the top where density needs them", () => {
    expect(parts(0.9, 0.5, 100)).toEqual([10, 90]);
    expect(parts(0.3, 7, 100)).toEqual([70, 30]);
  });

  test("keeps all from a density of 1 on, whatever gamma", () => {
    expect(parts(1, 0.3, 100)).toEqual([0, -1]);
    expect(parts(2, 0.3, 100)).toEqual([0, -1]);
  });

  test("never counts more elements than there are", () => {
    const share = fc.double({ min: 0, max: 3, noNaN: true });
    fc.assert(
      fc.property(share, share, fc.nat(1e9), (density, gamma, count) => {
        const [top, keep] = parts(density, gamma, count) as [number, number];
        expect(Number.isInteger(top) && Number.isInteger(keep)).toBe(true);
        expect(top).toBeGreaterThanOrEqual(0);
        expect(top + Math.max(keep, 0)).toBeLessThanOrEqual(count);
      }),
    );
  });
});

describe("della", () => {
  const lowerOne = (density: number, epsilon?: number) =>
    lower("della", [{ base: true }, { weight: 1, density, ...(epsilon === undefined ? {} : { epsilon }) }]);

  test("passes density and epsilon on", () => {
    expect(lowered("della", [{ base: true }, { weight: 0.5, density: 0.6, epsilon: 0.3 }]).params).toEqual([
      1, 1, 1, 0.5, 0.6, 0.3,
    ]);
    expect(lowered("della_linear", [{ base: true }, { weight: 0.5, density: 0.6 }]).params).toEqual([
      1, 0, 1, 0.5, 0.6, 0.15,
    ]);
  });

  test.each([
    [0.9, undefined],
    [0.85, 0.15],
    [0.1, 0.1],
    [0.5, 0.6],
    [0.95, -0.1],
  ])("a density of %p with epsilon %p would make a probability beyond 0 or 1: refused", (density, epsilon) => {
    expect(lowerOne(density, epsilon)).toMatchObject({ code: "parameter-range" });
    expect((lowerOne(density, epsilon) as { message: string }).message).toContain("m1");
  });

  test.each([
    [1, undefined],
    [1.2, 0.5],
    [0, 0.5],
    [0.5, 0],
    [0.5, -0.3],
    [0.849, 0.15],
  ])("a density of %p with epsilon %p is fine", (density, epsilon) => {
    expect(lowerOne(density, epsilon)).toMatchObject({ kernel: "della" });
  });
});

describe("memory", () => {
  const scratch = (name: string, ...densities: number[]) =>
    lowered(name, [{ base: true }, ...densities.map((density) => ({ weight: 1, density }))], {}, [10, 40]).scratch;

  test("grows with the models whose differences are thinned out", () => {
    expect(scratch("ties", 0.5, 1, 0.2)).toEqual({ selections: 2 });
    expect(scratch("breadcrumbs_ties", 0.5, 1, 0.2)).toEqual({ selections: 4 });
    expect(scratch("della", 0.5, 1, 0.2)).toEqual({ masks: 2, row: 40 });
  });

  test("is not needed where nothing is, and by masks that are drawn anew", () => {
    for (const name of ["ties", "breadcrumbs", "della_linear"]) expect(scratch(name, 1, 1)).toBeUndefined();
    expect(scratch("dare_ties", 0.5)).toBeUndefined();
    expect(scratch("task_arithmetic", 0.5)).toBeUndefined();
  });
});
