import { describe, expect, test } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { rankedMask } from "../oracle/ranked.ts";
import { expectOracle, outputsOf } from "./against-oracle.ts";
import { numbers, sizesOf, stored, type WorkOp } from "./workbench.ts";

interface Draw {
  shape: readonly number[];
  density: number;
  epsilon: number;
  values?: Float64Array;
  dtype?: FloatDtype;
  seed?: number;
  stream?: number;
  tensor?: string;
  rescale?: boolean;
}

/** One model over a base of zeros, weight 1: what is dropped is zero in the output. */
function draw({ shape, density, epsilon, dtype = "F32", seed = 0, stream = 1, tensor = "w", ...more }: Draw): WorkOp {
  const sizes = sizesOf(shape);
  const values = more.values ?? rising(sizes.count);
  return {
    kernel: "della_linear",
    params: [1, 0, more.rescale ? 1 : 0, 1, density, epsilon],
    inputs: [stored(new Float64Array(sizes.count), dtype, 0), stored(values, dtype, stream)],
    dtype,
    ...sizes,
    seed,
    tensor,
  };
}

const rising = (count: number) => Float64Array.from({ length: count }, (_, i) => 1 + i);

async function masks(draws: readonly Draw[]): Promise<Uint8Array[]> {
  return (await outputsOf(draws.map(draw))).map((out) => Uint8Array.from(out, (x) => (x === 0 ? 0 : 1)));
}

/** The oracle's mask of the same draw. */
function expected({ shape, density, epsilon, values, seed = 0, stream = 1, tensor = "w" }: Draw): Uint8Array {
  const sizes = sizesOf(shape);
  const magnitudes = (values ?? rising(sizes.count)).map(Math.abs);
  return rankedMask({ seed, tensor }, stream, sizes, magnitudes, density, epsilon);
}

async function expectMasks(draws: readonly Draw[]): Promise<Uint8Array[]> {
  const found = await masks(draws);
  for (const [i, one] of draws.entries()) {
    const { shape, density, epsilon } = one;
    const same = Buffer.compare(found[i] as Uint8Array, expected(one)) === 0;
    expect({ shape, density, epsilon, same }).toEqual({ shape, density, epsilon, same: true });
  }
  return found;
}

describe("the mask is the oracle's, bit for bit", () => {
  const normal = (seed: number, count: number) => numbers(seed).list(count).map(Math.fround);
  /** Few distinct magnitudes, as fine-tunes in bfloat16 have. */
  const coarse = (seed: number, count: number) => normal(seed, count).map((x) => Math.round(3 * x) / 8 || 1 / 16);

  test.each([
    ["random", normal],
    ["with many equals", coarse],
    ["that span every exponent", (seed: number, n: number) => normal(seed, n).map((x) => Math.fround(2 ** (30 * x)))],
    ["all alike", (_: number, n: number) => new Float64Array(n).fill(-0.5)],
  ])("for magnitudes %s", async (_, make) => {
    const draws: Draw[] = [];
    for (const shape of [[1], [2], [77], [4, 1], [5, 1023], [64, 64], [129, 33], [3, 20_000], [70_001], [2, 3, 500]]) {
      const values = make(shape.length, sizesOf(shape).count);
      for (const [density, epsilon] of [
        [0.5, 0.3],
        [0.9, 0.099],
        [0.1, 0.05],
        [0.5, 0],
      ] as const) {
        draws.push({ shape, density, epsilon, values });
      }
    }
    await expectMasks(draws);
  });

  test("for every seed, source and name", async () => {
    const draws = [
      { seed: 1 },
      { seed: 2 ** 32 - 1 },
      { stream: 0 },
      { stream: 63 },
      { tensor: "model.embed_tokens.weight" },
      { tensor: "größe" },
    ].map((more) => ({ shape: [30, 100], density: 0.6, epsilon: 0.2, ...more }));
    const found = await expectMasks(draws);
    expect(new Set(found.map((mask) => mask.join(""))).size).toBe(draws.length);
  });

  test("where a negative epsilon keeps the small ones more often", async () => {
    const draws = [
      { shape: [50, 300], density: 0.5, epsilon: -0.4 },
      { shape: [7], density: 0.6, epsilon: -0.2 },
      { shape: [3, 5000], density: 0.3, epsilon: -0.1, values: coarse(3, 15_000) },
    ];
    await expectMasks(draws);
  });

  test("at the ends: a density of 1 keeps all, of 0 none", async () => {
    const ends = await masks([1, 1.7, 0, -1].map((density) => ({ shape: [20, 50], density, epsilon: 0.15 })));
    expect(ends.map((mask) => mask.reduce((sum, bit) => sum + bit, 0))).toEqual([1000, 1000, 0, 0]);
  });

  test("in float64, where float32 could not tell the magnitudes apart", async () => {
    const values = Float64Array.from({ length: 400 }, (_, i) => 1 + ((i * 7) % 400) * 2 ** -50);
    const one = { shape: [400], density: 0.5, epsilon: 0.45, values, dtype: "F64" as const };
    await expectMasks([one]);
  });

  test("of NaN, which has the highest rank", async () => {
    const values = normal(5, 200).with(3, Number.NaN).with(120, Number.NaN).with(50, Number.NEGATIVE_INFINITY);
    await expectOracle([draw({ shape: [200], density: 0.5, epsilon: 0.3, values })]);
    await expectOracle([draw({ shape: [4, 50], density: 0.5, epsilon: 0.3, values, rescale: true })]);
  });
});

describe("statistically", () => {
  test("the share kept grows with the rank, from density - epsilon to density + epsilon", async () => {
    const [rows, columns] = [20_000, 50];
    const [mask] = (await masks([{ shape: [rows, columns], density: 0.6, epsilon: 0.3 }])) as [Uint8Array];
    for (let rank = 0; rank < columns; rank++) {
      let kept = 0;
      for (let row = 0; row < rows; row++) kept += mask[row * columns + rank] as number;
      const p = 0.3 + (0.6 * rank) / (columns - 1);
      // Five standard deviations: one in 35,000 of 50 such checks would fail by chance, and the seed is fixed.
      expect(Math.abs(kept - rows * p)).toBeLessThan(5 * Math.sqrt(rows * p * (1 - p)));
    }
  });

  test("the expected value of what is kept and rescaled is what it was", async () => {
    const count = 200_000;
    const values = numbers(8).list(count).map(Math.fround);
    const sum = (list: Float64Array) => list.reduce((total, x) => total + Math.abs(x), 0);
    const op = draw({ shape: [200, 1000], density: 0.5, epsilon: 0.2, values, rescale: true });
    const [out] = (await outputsOf([op])) as [Float64Array];
    expect(sum(out) / sum(values)).toBeCloseTo(1, 6);
    // Signed sums differ by chance only: by about the root of the sum of squares.
    const signed = out.reduce((total, x, i) => total + x - (values[i] as number), 0);
    const root = Math.sqrt(values.reduce((total, x) => total + x * x, 0));
    expect(Math.abs(signed)).toBeLessThan(5 * root);
  });

  test("masks of two seeds, two sources and two tensors are independent", async () => {
    const shape = [2000, 100];
    const flat = { shape, density: 0.5, epsilon: 0 };
    const [first, ...others] = await masks([
      flat,
      { ...flat, seed: 1 },
      { ...flat, stream: 2 },
      { ...flat, tensor: "v" },
    ]);
    for (const other of others) {
      const both = other.reduce((sum, bit, i) => sum + (bit & (first?.[i] as number)), 0);
      expect(Math.abs(both - 50_000)).toBeLessThan(5 * Math.sqrt(200_000 * 0.25 * 0.75));
    }
  });
});

test("without a spread, della keeps what dare keeps", async () => {
  const values = numbers(3).list(9999).map(Math.fround);
  const della = draw({ shape: [99, 101], density: 0.4, epsilon: 0, values });
  const [a, b] = await outputsOf([della, { ...della, kernel: "dare_linear", params: [1, 0, 0, 1, 0.4] }]);
  expect(a).toEqual(b as Float64Array);
});
