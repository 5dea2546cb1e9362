import { describe, expect, test } from "bun:test";
import { encode } from "../oracle/dtype.ts";
import { expectOracle, outputsOf } from "./against-oracle.ts";
import { family, numbers, stored, type WorkOp } from "./workbench.ts";

function op(share: number, lists: readonly ArrayLike<number>[], more: Partial<WorkOp> = {}): WorkOp {
  const count = (lists[0] as ArrayLike<number>).length;
  return { kernel: "sce", params: [share], inputs: lists.map((x) => stored(x, "F32")), dtype: "F32", count, ...more };
}

async function changed(ops: readonly WorkOp[], base: ArrayLike<number>): Promise<number[][]> {
  return (await outputsOf(ops)).map((out) => [...out.keys()].filter((i) => out[i] !== base[i]));
}

describe("the elements in which the models differ most are selected", () => {
  test("the share counts the elements that differ at all", async () => {
    const count = 1000;
    const base = new Float64Array(count);
    const first = base.map((_, i) => (i < 400 ? i + 1 : 3));
    const second = base.map((_, i) => (i < 400 ? 2 * i + 2 : 3));
    // Only the first 400 differ, the later the more; where both models agree the variance is zero.
    const shares = [0.5, 0.25, 1e-3, 1e-9, 0.999];
    const found = await changed(
      shares.map((share) => op(share, [base, first, second])),
      base,
    );
    const last = (n: number) => Array.from({ length: n }, (_, i) => 400 - n + i);
    expect(found).toEqual([last(200), last(100), [], [], last(399)]);
  });

  test("all from a share of 1 on, none from 0 down", async () => {
    const lists = family(500, 2, 1) as [Float64Array, Float64Array, Float64Array];
    const base = lists[0].map(Math.fround);
    const found = await changed(
      [1, 2, 0, -3].map((share) => op(share, lists)),
      base,
    );
    expect(found.map((list) => list.length > 400)).toEqual([true, true, false, false]);
    expect([found[2], found[3]]).toEqual([[], []]);
  });

  test("of equal variances those that come first", async () => {
    const count = 100_000;
    const base = new Float64Array(count);
    const second = base.map((_, i) => (i % 2 === 0 ? 1 : -1));
    const [some] = await changed([op(0.3, [base, base, second])], base);
    expect(some).toEqual(Array.from({ length: 30_000 }, (_, i) => i));
  });

  test("one model differs from nobody: a share below 1 selects nothing", async () => {
    const [base, model] = family(300, 1, 2) as [Float64Array, Float64Array];
    const [part, all] = await outputsOf([op(0.9, [base, model]), op(1, [base, model])]);
    expect(part).toEqual(base.map(Math.fround));
    for (const [i, x] of model.entries()) expect(all?.[i]).toBeCloseTo(x, 7);
  });

  test("of large tensors with few distinct differences, exactly as many as asked", async () => {
    const count = 300_000;
    const ops: WorkOp[] = [];
    for (const [models, steps] of [
      [2, 0.3],
      [2, 3],
      [3, 1],
      [5, 1],
    ] as const) {
      const { list } = numbers(models);
      const base = new Uint16Array(encode(list(count, 0.02), "BF16").buffer);
      const tuned = Array.from({ length: models }, () => {
        const moves = list(count, steps);
        return base.map((bits, i) => bits + Math.trunc(moves[i] as number));
      });
      const inputs = [base, ...tuned].map((bits) => ({ bytes: new Uint8Array(bits.buffer), dtype: "BF16" as const }));
      for (const share of [0.1, 0.7]) ops.push({ kernel: "sce", params: [share], inputs, dtype: "F32", count });
    }
    await expectOracle(ops);
  });
});

describe("models weigh as much as they changed", () => {
  test("by the mean of the squares", async () => {
    // Mean squares 4 and 1: weights 0.8 and 0.2.
    const [out] = await outputsOf([
      op(1, [
        [0, 0],
        [2, 2],
        [1, 1],
      ]),
    ]);
    for (const x of out as Float64Array) expect(x).toBeCloseTo(1.8, 6);
  });

  test("alike where the changes are tiny", async () => {
    const [out] = await outputsOf([
      op(1, [
        [0, 0],
        [2 ** -12, 2 ** -12],
        [2 ** -14, 2 ** -14],
      ]),
    ]);
    expect(Array.from(out as Float64Array, (x) => x * 2 ** 15)).toEqual([5, 5]);
  });

  test("by what was selected of them", async () => {
    // Only the first element differs among the models.
    const [out] = await outputsOf([
      op(
        0.999,
        [
          [0, 0, 0],
          [4, 9, 1],
          [2, 9, 1],
        ],
        { dtype: "F64" },
      ),
    ]);
    expect([...(out as Float64Array)]).toEqual([0, 0, 0]);
    const two = [
      [0, 0, 0, 0],
      [4, 8, 9, 1],
      [2, 9, 9, 1],
    ];
    // Half of two: the first. Weights 16 and 4 of 20.
    const [one] = await outputsOf([op(0.5, two, { dtype: "F64" })]);
    expect(one?.[0]).toBeCloseTo((4 * 16 + 2 * 4) / 20, 14);
    expect([...(one as Float64Array).subarray(1)]).toEqual([0, 0, 0]);
  });
});

describe("the minority's sign is erased", () => {
  test("element by element, and zero counts as positive", async () => {
    const [out] = await outputsOf([
      op(1, [
        [0, 0, 0],
        [3, -3, 2],
        [-1, 1, -2],
      ]),
    ]);
    for (const [i, x] of [3, -3, 2].entries()) expect(out?.[i]).toBeCloseTo(x, 6);
  });

  test("where nobody changed anything the base stays", async () => {
    const base = numbers(4).list(1000).map(Math.fround);
    for (const share of [1, 0.4]) {
      const [out] = await outputsOf([op(share, [base, base, base])]);
      expect(out).toEqual(base);
    }
  });
});

test("NaN is the largest variance, and makes the model's weight NaN", async () => {
  const lists = family(400, 2, 6) as [Float64Array, Float64Array, Float64Array];
  const wild = [lists[0], lists[1].with(7, Number.NaN).with(9, Number.POSITIVE_INFINITY), lists[2]];
  await expectOracle([1, 0.5, 0.004, 0.002].map((share) => op(share, wild)));
});

test("the work is float64 where an input is", async () => {
  const base = new Float64Array(9);
  const model = base.map((_, i) => 1 + i * 2 ** -40);
  const inputs = [base, base, model].map((list) => stored(list, "F64"));
  const [out] = await outputsOf([{ kernel: "sce", params: [0.4], inputs, dtype: "F64", count: 9 }]);
  expect([...(out as Float64Array).keys()].filter((i) => out?.[i] !== 0)).toEqual([6, 7, 8]);
});
