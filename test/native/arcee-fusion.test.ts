import { describe, expect, test } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { expectOracle, outputsOf } from "./against-oracle.ts";
import { family, numbers, sizesOf, stored, type WorkOp } from "./workbench.ts";

function op(lists: readonly ArrayLike<number>[], shape: readonly number[], dtype: FloatDtype = "F32"): WorkOp {
  return { kernel: "arcee_fusion", inputs: lists.map((list) => stored(list, dtype)), dtype, ...sizesOf(shape) };
}

describe("what is taken over", () => {
  test("agrees with the oracle for fine-tunes of every closeness, rows of every length, and large tensors", async () => {
    const ops: WorkOp[] = [];
    for (const [i, noise] of [3e-5, 3e-4, 3e-2, 1].entries()) {
      for (const shape of [[1000], [40, 25], [25, 40], [3, 7, 101], [600, 500]]) {
        const lists = family(sizesOf(shape).count, 1, i + 1, noise);
        for (const dtype of ["BF16", "F32"] as const) ops.push(op(lists, shape, dtype));
      }
    }
    await expectOracle(ops);
  });

  test("is all of it where every change matters alike", async () => {
    // Rows of one element have no divergence: every importance is zero, and so is the threshold.
    const [a, b] = family(100, 1, 5) as [Float64Array, Float64Array];
    const [column] = await outputsOf([op([a, b], [100, 1])]);
    for (const [i, x] of b.entries()) expect(column?.[i]).toBeCloseTo(x, 7);
    // The same row over and over, and two changes of one size in it.
    const base = new Float64Array(100);
    const other = base.map((_, i) => (i % 2 === 0 ? 0.5 : -0.5));
    const [alike] = await outputsOf([op([base, other], [50, 2])]);
    expect(alike).toEqual(other);
  });

  test("is nothing of a model that is the base", async () => {
    const a = numbers(1).list(600).map(Math.fround);
    const [out] = await outputsOf([op([a, a], [20, 30])]);
    expect(out).toEqual(a);
  });

  test("counts every element of a large tensor: the same each time", async () => {
    const lists = family(1_200_000, 1, 9, 3e-4);
    const [first, second] = await outputsOf([op(lists, [1200, 1000], "BF16"), op(lists, [1200, 1000], "BF16")]);
    expect(first).toEqual(second as Float64Array);
  });
});

describe("extreme values", () => {
  test("large ones do not overflow the softmax", async () => {
    const [a, b] = family(900, 1, 3, 0.5).map((list) => list.map((x) => x * 1e4));
    const wide = [a, b] as [Float64Array, Float64Array];
    await expectOracle([op(wide, [30, 30]), op(wide, [30, 30], "F64"), op(wide, [900])]);
  });

  test("NaN and infinity leave the rest of their row at the base, and show themselves", async () => {
    const [base, other] = family(300, 1, 4) as [Float64Array, Float64Array];
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const wild = other.with(75, value);
      await expectOracle([op([base, wild], [10, 30]), op([base.with(75, value), other], [10, 30])]);
      const [out] = (await outputsOf([op([base, wild], [10, 30])])) as [Float64Array];
      for (let i = 60; i < 90; i++)
        expect(Object.is(out[i], i === 75 ? Number.NaN : Math.fround(base[i] as number))).toBe(true);
    }
  });

  test("minus infinity has a probability of next to nothing", async () => {
    const [base, other] = family(300, 1, 4) as [Float64Array, Float64Array];
    await expectOracle([op([base, other.with(75, Number.NEGATIVE_INFINITY)], [10, 30])]);
  });
});
