import { describe, expect, test } from "bun:test";
import { expectOracle, outputsOf } from "./against-oracle.ts";
import { family, stored, type WorkOp } from "./workbench.ts";

function op(
  kernel: string,
  params: number[],
  lists: readonly ArrayLike<number>[],
  dtype: "F32" | "F64" = "F64",
): WorkOp {
  const count = (lists[0] as ArrayLike<number>).length;
  return { kernel, params, inputs: lists.map((list) => stored(list, dtype)), dtype, count };
}

async function output(one: WorkOp): Promise<number[]> {
  return Array.from((await outputsOf([one]))[0] as Float64Array);
}

describe("ram", () => {
  test("takes what one model changed, and the average of what several did", async () => {
    const base = [10, 10, 10, 10];
    const models = [
      [11, 13, 10, 10],
      [10, 15, 10, 8],
      [10, 10, 10, 7],
    ];
    expect(await output(op("ram", [1e-5], [base, ...models]))).toEqual([11, 14, 10, 7.5]);
  });

  test("a change of exactly epsilon is none, in float32 too", async () => {
    const [base, model] = [
      [0, 0, 0, 0, 0],
      [0.25, -0.25, 0.26, -0.26, 0],
    ] as const;
    expect(await output(op("ram", [0.25], [base, model]))).toEqual([0, 0, 0.26, -0.26, 0]);
    const third = Math.fround(1 / 3);
    expect(await output(op("ram", [1 / 3], [[0], [third]], "F32"))).toEqual([0]);
    expect(await output(op("ram", [1 / 3], [[0], [third]], "F64"))).toEqual([third]);
  });

  test("with an epsilon of 0 every change counts", async () => {
    expect(
      await output(
        op(
          "ram",
          [0],
          [
            [1, 1],
            [1, 1 + 2 ** -30],
            [3, 1],
          ],
        ),
      ),
    ).toEqual([3, 1 + 2 ** -30]);
  });

  test("NaN counts as no change and shows; infinity is one", async () => {
    const lists = [
      [1, 1, 1],
      [Number.NaN, Number.POSITIVE_INFINITY, 2],
      [3, 3, 3],
    ];
    const out = await output(op("ram", [1e-5], lists, "F32"));
    expect(out).toEqual([Number.NaN, Number.POSITIVE_INFINITY, 2.5]);
    await expectOracle([op("ram", [1e-5], lists, "F32"), op("ramplus_tl", [1e-5, 0.1, 0.2], lists, "F32")]);
  });
});

describe("ramplus_tl", () => {
  const base = [0, 0, 0, 0];
  const models = [
    [1, 1, 1, 2],
    [0, 0, 1, 4],
  ];

  test("amplifies what one model changed by its overlap with the others", async () => {
    // The first model shares 2 elements and has 2 of its own: 1 + r x 1.
    expect(await output(op("ramplus_tl", [1e-5, 0.5, 3], [base, ...models]))).toEqual([1.5, 1.5, 1, 3]);
  });

  test("by at most alpha", async () => {
    expect(await output(op("ramplus_tl", [1e-5, 0.5, 0.25], [base, ...models]))).toEqual([1.125, 1.125, 1, 3]);
    expect(await output(op("ramplus_tl", [1e-5, -2, 0.25], [base, ...models]))).toEqual([0.5, 0.5, 1, 3]);
    expect(await output(op("ramplus_tl", [1e-5, 0.5, -1], [base, ...models]))).toEqual([0.5, 0.5, 1, 3]);
  });

  test("an r of 0 is ram", async () => {
    const lists = family(5000, 3, 1);
    expect(await output(op("ramplus_tl", [1e-3, 0, 0.2], lists, "F32"))).toEqual(
      await output(op("ram", [1e-3], lists, "F32")),
    );
  });

  test("a model without elements of its own, and one without any", async () => {
    const same = [
      [0, 0],
      [1, 1],
      [3, 3],
      [0, 0],
    ];
    expect(await output(op("ramplus_tl", [0, 0.5, 0.2], same))).toEqual([2, 2]);
    expect(await output(op("ramplus_tl", [1e-5, 0.5, 0.2], same))).toEqual([2, 2]);
  });
});

describe("nearswap", () => {
  const swap = (t: number, a: number[], b: number[]) => output(op("nearswap", [t], [a, b]));

  test("takes the other's element up to a distance of t, and moves by t beyond", async () => {
    expect(await swap(0.5, [1, 1, 1, 1], [1.25, 1.5, 3, -1])).toEqual([1.25, 1.5, 1.5, 0.5]);
  });

  test("a t of 0 or less is the base, a huge t the other model", async () => {
    expect(await swap(0, [1, 2], [3, 2])).toEqual([1, 2]);
    expect(await swap(-1, [1, 2], [3, 2])).toEqual([1, 2]);
    expect(await swap(1e9, [1, 2], [3, 2])).toEqual([3, 2]);
  });

  test("distances below 1e-6 count as that", async () => {
    const [moved] = await swap(5e-7, [0], [2 ** -21]);
    expect(moved).toBeCloseTo(2 ** -22, 20);
    expect(await swap(5e-7, [7], [7])).toEqual([7]);
  });

  test("NaN and infinity show", async () => {
    const out = await swap(0.1, [1, 1, Number.NaN], [Number.NaN, Number.POSITIVE_INFINITY, 1]);
    expect(out).toEqual([Number.NaN, Number.NaN, Number.NaN]);
  });
});
