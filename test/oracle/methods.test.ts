import { describe, expect, test } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { type OracleOp, oracle } from "./methods.ts";
import { selectLargest } from "./select.ts";

/** Every number here was worked out by hand from the formula. */
function values(kernel: string, params: number[], inputs: number[][], dtype: FloatDtype = "F64"): number[] {
  const op: OracleOp = {
    kernel,
    params,
    inputs: inputs.map((list, stream) => ({ values: Float64Array.from(list), dtype, stream })),
    dtype,
    count: (inputs[0] ?? []).length,
    seed: 0,
    tensor: "w",
  };
  return Array.from(oracle(op).values);
}

describe("the oracle, by hand", () => {
  test("linear adds up products", () => {
    expect(
      values(
        "linear",
        [0.5, 2],
        [
          [1, 2],
          [3, -1],
        ],
      ),
    ).toEqual([6.5, -1]);
  });

  test("slerp of perpendicular vectors goes along the circle", () => {
    const [x, y] = values(
      "slerp",
      [1 / 3],
      [
        [1, 0],
        [0, 1],
      ],
    ) as [number, number];
    expect(x).toBeCloseTo(Math.cos(Math.PI / 6), 14);
    expect(y).toBeCloseTo(Math.sin(Math.PI / 6), 14);
  });

  test("slerp of colinear vectors is a straight line", () => {
    expect(
      values(
        "slerp",
        [0.25],
        [
          [1, 2],
          [3, 6],
        ],
      ),
    ).toEqual([1.5, 3]);
    expect(
      values(
        "slerp",
        [0.25],
        [
          [1, 2],
          [-3, -6],
        ],
      ),
    ).toEqual([0, 0]);
  });

  test("slerp with a zero vector: a right angle", () => {
    expect(
      values(
        "slerp",
        [0.5],
        [
          [0, 0],
          [2, 0],
        ],
      )[0],
    ).toBeCloseTo(Math.SQRT2, 14);
  });

  test("task arithmetic divides by the weights when normalised, and multiplies by lambda", () => {
    expect(values("task_arithmetic", [1, 0, 0, 2, -1, 1, -1], [[1], [2], [4]])).toEqual([6]);
    expect(values("task_arithmetic", [1, 1, 0, 2, -1, 2, -1], [[1], [2], [4]])).toEqual([3]);
    expect(values("task_arithmetic", [0.5, 1, 0, 2, -1, 2, -1], [[1], [2], [4]])).toEqual([2]);
  });

  test("weights that sum to zero divide by one", () => {
    expect(values("task_arithmetic", [1, 1, 0, 0.5, -1, -0.5, -1], [[0], [4], [2]])).toEqual([1]);
  });

  test("ties keeps the largest, elects a sign and divides by the weights that agree", () => {
    // Differences 3, -1 and -1, 2; one kept of each: 3, 0 and 0, 2.
    expect(
      values(
        "ties",
        [1, 1, 0, 0.5, 1, 0.25, 1],
        [
          [0, 0],
          [3, -1],
          [-1, 2],
        ],
      ),
    ).toEqual([3, 2]);
    // All kept: the vote is 1.5 - 0.25 and -0.5 + 0.5, which counts as positive.
    expect(
      values(
        "ties",
        [1, 1, 0, 0.5, -1, 0.25, -1],
        [
          [0, 0],
          [3, -1],
          [-1, 2],
        ],
      ),
    ).toEqual([3, 2]);
    // Not normalised: the weighted difference itself.
    expect(
      values(
        "ties",
        [1, 0, 0, 0.5, -1, 0.25, -1],
        [
          [0, 0],
          [3, -1],
          [-1, 2],
        ],
      ),
    ).toEqual([1.5, 0.5]);
  });

  test("ties where nothing agrees leaves the base", () => {
    expect(values("ties", [1, 1, 0, 0.5, -1, 0.5, -1], [[7], [7], [7]])).toEqual([7]);
    expect(
      values(
        "ties",
        [1, 1, 0, 1, 0],
        [
          [7, 8],
          [1, 2],
        ],
      ),
    ).toEqual([7, 8]);
  });

  test("rescaling restores the sum of the magnitudes", () => {
    expect(
      values(
        "ties",
        [1, 0, 1, 1, 1],
        [
          [0, 0, 0],
          [1, -2, 1],
        ],
      ),
    ).toEqual([0, -4, 0]);
    expect(
      values(
        "ties",
        [1, 0, 1, 1, 0],
        [
          [0, 0, 0],
          [1, -2, 1],
        ],
      ),
    ).toEqual([0, 0, 0]);
  });

  test("rescaling leaves differences alone whose sum is below 1e-7", () => {
    expect(
      values(
        "ties",
        [1, 0, 1, 1, 1],
        [
          [0, 0],
          [4e-8, -5e-8],
        ],
      ),
    ).toEqual([0, -5e-8]);
  });

  test("a magnitude is ranked in float32 unless float64 takes part", () => {
    const inputs = [
      [0, 0],
      [1, 1 + 2 ** -40],
    ];
    expect(values("ties", [1, 0, 0, 1, 1], inputs, "F32")).toEqual([1, 0]);
    expect(values("ties", [1, 0, 0, 1, 1], inputs, "F64")).toEqual([0, 1 + 2 ** -40]);
  });
});

describe("selection", () => {
  const mask = (list: number[], keep: number) => Array.from(selectLargest(Float64Array.from(list), keep).mask);

  test("equal magnitudes go to the lower index", () => {
    expect(mask([1, 2, 1, 2, 1], 3)).toEqual([1, 1, 0, 1, 0]);
    expect(mask([0, 0, 0], 2)).toEqual([1, 1, 0]);
  });

  test("NaN is larger than infinity", () => {
    expect(mask([5, Number.NaN, Number.POSITIVE_INFINITY, Number.NaN], 1)).toEqual([0, 1, 0, 0]);
    expect(mask([5, Number.NaN, Number.POSITIVE_INFINITY, Number.NaN], 3)).toEqual([0, 1, 1, 1]);
  });

  test("names the magnitude that only the order among equals decides", () => {
    const contested = (list: number[], keep: number) => selectLargest(Float64Array.from(list), keep).contested;
    expect(contested([1, 2, 1, 2, 1], 3)).toBe(1);
    expect(contested([1, 2, 1, 2, 1], 2)).toBeUndefined();
    expect(contested([0, 0, 0], 2)).toBe(0);
  });

  test("none and all", () => {
    expect(mask([1, 2], 0)).toEqual([0, 0]);
    expect(mask([1, 2], 2)).toEqual([1, 1]);
  });
});
