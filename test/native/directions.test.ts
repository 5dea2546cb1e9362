import { describe, expect, test } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { expectOracle, outputsOf } from "./against-oracle.ts";
import { family, numbers, runOps, sizesOf, stored, type WorkOp } from "./workbench.ts";

/*
 * Methods that go by the directions of vectors, where directions are special: alike, opposite, missing, or not finite.
 */

interface Options {
  dtype?: FloatDtype;
  shape?: readonly number[];
}

function op(kernel: string, params: number[], vectors: readonly ArrayLike<number>[], options: Options = {}): WorkOp {
  const { dtype = "F32", shape = [(vectors[0] as ArrayLike<number>).length] } = options;
  return { kernel, params, inputs: vectors.map((vector) => stored(vector, dtype)), dtype, ...sizesOf(shape) };
}

/** Each kernel with numbers for `models` models and without a base; the weights are alike. */
const ALIKE: Readonly<Record<string, (models: number) => number[]>> = {
  nuslerp: () => [0.5, 0],
  multislerp: (models) => [1, 1e-8, ...Array<number>(models).fill(1)],
  karcher: () => [10, 1e-5],
};

const random = (seed: number, count: number, scale = 0.02) => numbers(seed).list(count, scale).map(Math.fround);
const times = (vector: Float64Array, factor: number) => vector.map((x) => x * factor);
const zeros = (count: number) => new Float64Array(count);

describe("equal models give themselves", () => {
  test.each(Object.keys(ALIKE))("%s, to the bit in bfloat16", async (kernel) => {
    for (const [count, models] of [
      [1, 2],
      [1000, 2],
      [4097, 5],
    ] as const) {
      if (kernel === "nuslerp" && models > 2) continue;
      const vector = random(count, count);
      const same = op(kernel, ALIKE[kernel]?.(models) ?? [], Array(models).fill(vector), { dtype: "BF16" });
      const [outcome] = await runOps([same]);
      expect(Buffer.compare(outcome?.bytes as Uint8Array, same.inputs[0]?.bytes as Uint8Array)).toBe(0);
    }
  });

  test("and differences of a base that are alike are added once", async () => {
    const [base, tuned] = family(2000, 1, 3) as [Float64Array, Float64Array];
    for (const [kernel, params] of [
      ["nuslerp_base", [0.3, 0]],
      ["multislerp_base", [1, 1e-8, 2, 1]],
      ["model_stock", [0]],
      ["model_stock", [1]],
    ] as const) {
      const merged = op(kernel, [...params], [base, tuned, tuned], { dtype: "F64", shape: [20, 100] });
      const [out] = await outputsOf([merged]);
      for (const [i, x] of tuned.entries()) expect(out?.[i]).toBeCloseTo(x, 12);
    }
  });
});

describe("parallel vectors", () => {
  test.each(["F32", "F64"] as const)("lie on a line in nuslerp, in %s", async (dtype) => {
    const ops: WorkOp[] = [];
    for (const count of [1, 2, 3, 1000]) {
      const a = random(count, count);
      for (const factor of [1, 2, 3, 1e-3, 0.7]) {
        for (const t of [0, 0.3, 1]) ops.push(op("nuslerp", [t, 0], [a, times(a, factor).map(Math.fround)], { dtype }));
      }
    }
    await expectOracle(ops);
  });

  test("have the mean of their norms in multislerp and karcher", async () => {
    const a = random(1, 500);
    const vectors = [a, times(a, 2), times(a, 4)];
    for (const kernel of ["multislerp", "karcher"]) {
      const [out] = await outputsOf([op(kernel, ALIKE[kernel]?.(3) ?? [], vectors, { dtype: "F64" })]);
      for (const [i, x] of a.entries()) expect((out?.[i] as number) / ((x * 7) / 3)).toBeCloseTo(1, 6);
    }
  });
});

describe("opposite vectors", () => {
  const lengths = [1, 2, 7, 1000];

  test.each(["F32", "F64"] as const)("are mixed on the line between them by nuslerp, in %s", async (dtype) => {
    const ops: WorkOp[] = [];
    const expected: Float64Array[] = [];
    for (const count of lengths) {
      const a = random(count, count);
      for (const factor of [-1, -2, -3, -0.3]) {
        const b = dtype === "F64" ? times(a, factor) : times(a, Math.round(factor) || -0.25);
        ops.push(op("nuslerp", [0.3, 0], [a, b], { dtype }));
        expected.push(a.map((x, i) => 0.7 * x + 0.3 * (b[i] as number)));
      }
    }
    const found = await outputsOf(ops);
    for (const [i, values] of expected.entries()) {
      for (const [k, x] of values.entries()) {
        const scale = Math.abs(ops[i] === undefined ? 0 : x) + 0.02;
        expect(Math.abs((found[i]?.[k] as number) - x)).toBeLessThan(1e-6 * scale);
      }
    }
  });

  test("are added up with their weights by multislerp where the directions cancel out", async () => {
    for (const count of lengths) {
      const a = random(count, count, 5);
      const ops = [
        op("multislerp", [1, 1e-8, 1, 1], [a, times(a, -1)]),
        op("multislerp", [0, 1e-8, 0.5, 0.5, 1], [a, a, times(a, -1)]),
        op("multislerp_base", [1, 1e-8, 1, 1], [a, times(a, 2), zeros(count)]),
      ];
      await expectOracle(ops);
      const [two, three, based] = (await outputsOf(ops)) as [Float64Array, Float64Array, Float64Array];
      expect([...two, ...three].every((x) => Math.abs(x) < 1e-6)).toBe(true);
      expect(based).toEqual(a);
    }
  });

  test.each(["F32", "F64"] as const)("have no pull in karcher: the first direction stays, in %s", async (dtype) => {
    for (const count of lengths) {
      const a = random(count, count);
      for (const factor of [-1, -2, -3]) {
        const [out] = await outputsOf([op("karcher", [10, 1e-5], [a, times(a, factor)], { dtype })]);
        const mean = (1 + Math.abs(factor)) / 2;
        for (const [i, x] of a.entries()) expect((out?.[i] as number) / (mean * x)).toBeCloseTo(1, 6);
      }
    }
  });

  test.each(["F32", "F64"] as const)("leave model_stock at the base, in %s", async (dtype) => {
    for (const count of lengths) {
      const base = random(count + 1, count, 1).map((x) => Math.round(x * 64) / 64);
      const change = random(count, count, 1).map((x) => Math.round(x * 64) / 64 || 0.5);
      const models = [1, -1].map((sign) => base.map((x, i) => x + sign * (change[i] as number)));
      for (const vectors of [models, [...models, ...models]]) {
        for (const params of [[0], [1]]) {
          const [out] = await outputsOf([op("model_stock", params, [base, ...vectors], { dtype })]);
          expect(out).toEqual(base);
        }
      }
    }
  });
});

describe("vectors of zeros", () => {
  test.each(["F32", "F64", "BF16"] as const)("agree with the oracle alone and among others, in %s", async (dtype) => {
    const ops: WorkOp[] = [];
    for (const count of [1, 2, 1000]) {
      const [a, b, none] = [random(1, count), random(2, count), zeros(count)];
      for (const pair of [
        [a, none],
        [none, a],
        [none, none],
      ]) {
        ops.push(op("nuslerp", [0.3, 0], pair, { dtype }), op("nuslerp_base", [0.3, 0], [b, ...pair], { dtype }));
      }
      for (const list of [
        [a, none, b],
        [none, a, none],
        [none, none, none],
      ]) {
        ops.push(op("multislerp", [1, 1e-8, 1, 2, 3], list, { dtype }), op("karcher", [10, 1e-5], list, { dtype }));
        ops.push(op("multislerp", [1, 1e-30, 1, 2, 3], list, { dtype }));
        ops.push(op("karcher", [10, 1e-30], list, { dtype }), op("model_stock", [0], [none, ...list], { dtype }));
      }
    }
    await expectOracle(ops);
  });

  test("of which all are, give zeros", async () => {
    const none = zeros(77);
    for (const [kernel, params] of Object.entries(ALIKE)) {
      const [out] = await outputsOf([op(kernel, params(2), [none, none])]);
      expect(out).toEqual(none);
    }
  });

  test("are rows of their own in a matrix", async () => {
    const shape = [6, 50];
    const [a, b] = [random(1, 300), random(2, 300)];
    a.fill(0, 50, 100);
    b.fill(0, 100, 150);
    for (const list of [a, b]) list.fill(0, 200, 250);
    await expectOracle([op("nuslerp", [0.3, 1], [a, b], { shape }), op("nuslerp", [0.6, 2], [a, b], { shape })]);
    const base = random(3, 300);
    const models = [a, b].map((d) => d.map((x, i) => Math.fround(x + (base[i] as number))));
    await expectOracle([op("model_stock", [1], [base, ...models], { shape })]);
  });

  test("and near-zeros: norms below every floor", async () => {
    const [a, b, c] = [random(1, 100, 1e-9), random(2, 100, 3e-9), random(3, 100, 1)] as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    for (const dtype of ["F32", "F64"] as const) {
      await expectOracle([
        op("nuslerp", [0.3, 0], [a, b], { dtype }),
        op("nuslerp", [0.3, 0], [a, c], { dtype }),
        op("multislerp", [1, 1e-8, 1, 2], [a, b], { dtype }),
        op("multislerp", [1, 1e-3, 1, 2], [a, c], { dtype }),
        op("karcher", [10, 1e-5], [a, b, c], { dtype }),
        op("karcher", [10, 1e-10], [a, b, c], { dtype }),
        op("model_stock", [0], [zeros(100), a, b], { dtype }),
      ]);
    }
  });
});

describe("NaN and infinity", () => {
  const nan = random(4, 60).with(25, Number.NaN);
  const infinite = random(4, 60).with(25, Number.POSITIVE_INFINITY);
  const tame = random(5, 60);

  test.each([
    ["nuslerp", [0.3, 0]],
    ["multislerp", [1, 1e-8, 1, 1]],
    ["karcher", [10, 1e-5]],
  ] as [string, number[]][])("anywhere make the whole tensor NaN in %s", async (kernel, params) => {
    for (const wild of [nan, infinite]) {
      for (const vectors of [
        [wild, tame],
        [tame, wild],
      ]) {
        const [out] = await outputsOf([op(kernel, params, vectors)]);
        expect(out?.every(Number.isNaN)).toBe(true);
      }
    }
  });

  test("stay in their row or column", async () => {
    const shape = [6, 10];
    const inRow = (i: number) => Math.floor(i / 10) === 2;
    const inColumn = (i: number) => i % 10 === 5;
    for (const wild of [nan, infinite]) {
      const [rows, columns, stock] = (await outputsOf([
        op("nuslerp", [0.3, 1], [wild, tame], { shape }),
        op("nuslerp", [0.3, 2], [wild, tame], { shape }),
        op("model_stock", [1], [zeros(60), wild, tame], { shape }),
      ])) as [Float64Array, Float64Array, Float64Array];
      for (let i = 0; i < 60; i++) {
        expect([Number.isNaN(rows[i]), Number.isNaN(columns[i])]).toEqual([inRow(i), inColumn(i)]);
        expect(Number.isNaN(stock[i])).toBe(inRow(i));
      }
    }
  });

  test("are reported", async () => {
    const [outcome] = await runOps([op("nuslerp_base", [0.3, 1], [tame, nan, tame], { shape: [6, 10] })]);
    expect(outcome?.result.nonFinite).toEqual([false, true, false]);
  });
});

describe("karcher", () => {
  /** Directions far apart: nothing in common but a little. */
  const apart = (models: number, count: number, common: number) => {
    const centre = random(99, count, common);
    return Array.from({ length: models }, (_, k) => random(k, count, 1).map((x, i) => x + (centre[i] as number)));
  };

  test.each([0, 1, 2, 5, 50])("agrees with the oracle after %p iterations", async (iterations) => {
    const ops: WorkOp[] = [];
    for (const models of [2, 3, 7]) {
      for (const common of [0, 0.5, 3]) {
        for (const dtype of ["F32", "F64"] as const) {
          ops.push(op("karcher", [iterations, 1e-9], apart(models, 300, common), { dtype }));
        }
      }
    }
    await expectOracle(ops);
  });

  test("ends early where the tolerance says so", async () => {
    const vectors = apart(3, 300, 0.5);
    const run = (most: number, tolerance: number) => op("karcher", [most, tolerance], vectors, { dtype: "F64" });
    await expectOracle([run(100, 1e-30), run(100, 1e-2), run(100, 0.5), run(100, 2), run(100, 40)]);
    const [none, fine] = await outputsOf([run(0, 1e-5), run(100, 1e-9)]);
    expect(fine).not.toEqual(none as Float64Array);
  });

  test("finds the point from which the models pull evenly", async () => {
    const vectors = apart(4, 200, 1);
    const [out] = (await outputsOf([op("karcher", [200, 1e-12], vectors, { dtype: "F64" })])) as [Float64Array];
    const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
    const unit = (a: Float64Array) => times(a, 1 / Math.sqrt(dot(a, a)));
    const u = unit(out);
    const pull = zeros(200);
    for (const vector of vectors.map(unit)) {
      const cosine = dot(u, vector);
      const factor = Math.acos(cosine) / Math.sqrt(1 - cosine ** 2);
      vector.forEach((x, i) => {
        pull[i] = (pull[i] as number) + factor * (x - cosine * (u[i] as number));
      });
    }
    expect(Math.sqrt(dot(pull, pull))).toBeLessThan(1e-9);
    const mean = vectors.reduce((sum, vector) => sum + Math.sqrt(dot(vector, vector)), 0) / 4;
    expect(Math.sqrt(dot(out, out)) / mean).toBeCloseTo(1, 12);
  });
});

describe("model_stock", () => {
  test("goes nowhere where the models' changes are at right angles, and all the way where they are alike", async () => {
    const [base, one, two] = [
      [1, 1, 1, 1],
      [3, 1, 1, 1],
      [1, 5, 1, 1],
    ] as const;
    const [right, alike] = (await outputsOf([
      op("model_stock", [0], [base, one, two]),
      op("model_stock", [0], [base, one, one]),
    ])) as [Float64Array, Float64Array];
    expect([...right]).toEqual([...base]);
    expect([...alike]).toEqual([...one]);
  });

  test("goes t = n c / (1 + (n - 1) c) of the way for a cosine c", async () => {
    // Differences (1, 0) and (0.6, 0.8): c = 0.6, t = 1.2 / 1.6.
    const [out] = (await outputsOf([
      op(
        "model_stock",
        [0],
        [
          [0, 0],
          [1, 0],
          [0.6, 0.8],
        ],
        { dtype: "F64" },
      ),
    ])) as [Float64Array];
    expect(out[0]).toBeCloseTo(0.75 * 0.8, 14);
    expect(out[1]).toBeCloseTo(0.75 * 0.4, 14);
  });
});

test("norms neither overflow nor vanish where the elements' squares would in float32", async () => {
  const wild = random(1, 100, 1e30);
  const [line, short] = (await outputsOf([
    op("nuslerp", [0.3, 0], [wild, times(wild, 0.5)]),
    op("karcher", [10, 1e-30], [times(wild, 2 ** -180), times(wild, 2 ** -181)]),
  ])) as [Float64Array, Float64Array];
  for (const [i, x] of wild.entries()) {
    expect((line[i] as number) / (0.85 * x)).toBeCloseTo(1, 6);
    expect((short[i] as number) / (0.75 * x * 2 ** -180)).toBeCloseTo(1, 6);
  }
});
