import { describe, expect, test } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { disagreement } from "../oracle/agreement.ts";
import { decode, encode } from "../oracle/dtype.ts";
import { selectLargest } from "../oracle/select.ts";
import { forOracle, numbers, runOps, type Stored, stored, type WorkOp } from "./workbench.ts";

/** One model, weight 1: the output differs from the base exactly where a difference is kept. */
function selection(base: Stored, model: Stored, keep: number, dtype: FloatDtype = "F32"): WorkOp {
  const width = { F64: 8, F32: 4, F16: 2, BF16: 2 }[base.dtype as FloatDtype];
  return { kernel: "ties", params: [1, 0, 0, 1, keep], inputs: [base, model], dtype, count: base.bytes.length / width };
}

async function expectOracle(ops: readonly WorkOp[]): Promise<void> {
  const outcomes = await runOps(ops);
  for (const [i, op] of ops.entries()) {
    const expected = forOracle(op);
    const wrong = disagreement(decode((outcomes[i] as { bytes: Uint8Array }).bytes, expected.dtype), expected);
    expect([op.params, wrong]).toEqual([op.params, undefined]);
  }
}

/** Elements whose output is not the base's. */
async function changed(ops: readonly WorkOp[]): Promise<number[][]> {
  const outcomes = await runOps(ops);
  return outcomes.map(({ bytes }, i) => {
    const op = ops[i] as WorkOp;
    const base = decode((op.inputs[0] as Stored).bytes, op.inputs[0]?.dtype as FloatDtype);
    const out = decode(bytes, op.dtype as FloatDtype);
    return [...out.keys()].filter((k) => !Object.is(out[k], base[k]));
  });
}

/** As real fine-tunes are: bfloat16 of a base plus small noise, so that a few dozen differences are all there is. */
function coarse(count: number, noise: number, seed: number): [Stored, Stored] {
  const { list } = numbers(seed);
  const base = encode(list(count, 0.02), "BF16");
  const values = decode(base, "BF16");
  return [
    { bytes: base, dtype: "BF16" },
    stored(
      list(count, noise).map((d, i) => (values[i] as number) + d),
      "BF16",
    ),
  ];
}

describe("exactly k are kept", () => {
  test.each([3e-5, 3e-4, 3e-3])("of fine-tunes with few distinct differences (noise %p)", async (noise) => {
    const ops: WorkOp[] = [];
    for (const count of [1, 2, 1000, 65_537, 300_000]) {
      const [base, model] = coarse(count, noise, count);
      const keeps = [0, 1, 0.1 * count, 0.5 * count, 0.9 * count, count - 1, count].map(Math.trunc);
      for (const keep of count > 100_000 ? keeps.slice(2, 5) : keeps) ops.push(selection(base, model, keep));
    }
    await expectOracle(ops);
  });

  test("of equal differences, by index", async () => {
    const count = 70_001;
    const base = stored(new Float64Array(count).fill(1), "F32");
    const model = stored(new Float64Array(count).fill(1.5), "F32");
    const keeps = [0, 1, 4096, 65_536, 65_537, count - 1, count];
    const kept = await changed(keeps.map((keep) => selection(base, model, keep)));
    for (const [i, keep] of keeps.entries()) expect(kept[i]).toEqual(Array.from({ length: keep }, (_, k) => k));
  });

  test("of two equal magnitudes of opposite sign, by index", async () => {
    const values = Float64Array.from({ length: 40_000 }, (_, i) => (i % 2 === 0 ? 0.5 : -0.5));
    const [kept] = await changed([selection(stored(new Float64Array(40_000), "F32"), stored(values, "F32"), 12_345)]);
    expect(kept).toEqual(Array.from({ length: 12_345 }, (_, k) => k));
  });

  test("where no difference is left to choose from: all are zero", async () => {
    const [base] = coarse(50_000, 1, 3);
    for (const bytes of (await runOps([0, 1, 25_000, 50_000].map((keep) => selection(base, base, keep, "BF16")))).map(
      (o) => o.bytes,
    )) {
      expect(Buffer.compare(bytes, base.bytes)).toBe(0);
    }
  });

  test("where most differences are zero and the threshold is among them", async () => {
    const count = 100_000;
    const { uniform } = numbers(9);
    const values = Float64Array.from({ length: count }, () => (uniform() < 0.1 ? uniform() : 0));
    const nonZero = values.reduce((sum, x) => sum + (x === 0 ? 0 : 1), 0);
    const ops = [nonZero - 1, nonZero, nonZero + 1, 50_000].map((keep) =>
      selection(stored(new Float64Array(count), "F32"), stored(values, "F32"), keep),
    );
    const kept = await changed(ops);
    expect(kept.map((list) => list.length)).toEqual([nonZero - 1, nonZero, nonZero, nonZero]);
    await expectOracle(ops);
  });

  test("of magnitudes that span every exponent, subnormal ones included", async () => {
    const { uniform } = numbers(4);
    const values = Float64Array.from({ length: 50_001 }, () =>
      Math.fround((uniform() - 0.5) * 2 ** (uniform() * 270 - 148)),
    );
    const base = stored(new Float64Array(values.length), "F32");
    await expectOracle([10, 25_000, 49_000, 50_000].map((keep) => selection(base, stored(values, "F32"), keep)));
  });

  test("of sorted differences: the sample that brackets the threshold is not fooled by their order", async () => {
    const count = 200_000;
    const rising = Float64Array.from({ length: count }, (_, i) => (i + 1) / count);
    const base = stored(new Float64Array(count), "F32");
    for (const values of [rising, rising.toReversed()]) {
      await expectOracle([1, 100_000, 199_999].map((keep) => selection(base, stored(values, "F32"), keep)));
    }
  });

  test("of one outlier among equal differences", async () => {
    const count = 131_073;
    for (const at of [0, 65_536, count - 1]) {
      const values = new Float64Array(count).fill(0.25).with(at, -7);
      const [one, two] = await changed(
        [1, 2].map((keep) => selection(stored(new Float64Array(count), "F32"), stored(values, "F32"), keep)),
      );
      expect(one).toEqual([at]);
      expect(two).toEqual(at === 0 ? [0, 1] : [0, at]);
    }
  });
});

describe("in float64", () => {
  test("differences that float32 cannot tell apart are told apart", async () => {
    const values = Float64Array.from({ length: 9 }, (_, i) => 1 + i * 2 ** -50);
    const zero = stored(new Float64Array(9), "F64");
    expect(await changed([selection(zero, stored(values, "F64"), 3, "F64")])).toEqual([[6, 7, 8]]);
  });

  test("a float64 output alone makes the ranking float64", async () => {
    // In float32 both differences round to 1; exactly, the second is larger.
    const base = stored([-(2 ** -30), 0], "F32");
    const model = stored([1 - 2 ** -24, 1 - 2 ** -24], "F32");
    expect(await changed([selection(base, model, 1, "F64")])).toEqual([[0]]);
    const tie = selection(stored([0, -(2 ** -30)], "F32"), model, 1, "F64");
    expect(await changed([tie])).toEqual([[1]]);
  });
});

describe("NaN and infinity", () => {
  const { list } = numbers(11);
  const values = list(5000).with(7, Number.NaN).with(4000, Number.NaN).with(11, Number.POSITIVE_INFINITY);

  test("NaN is larger than infinity, which is larger than all numbers", async () => {
    const mask = (keep: number) =>
      [...selectLargest(values.map(Math.abs), keep).mask.entries()].flatMap(([i, m]) => (m ? [i] : []));
    expect([mask(1), mask(2), mask(3)]).toEqual([[7], [7, 4000], [7, 11, 4000]]);
    const base = stored(new Float64Array(5000), "F32");
    await expectOracle([1, 2, 3, 4, 2500].map((keep) => selection(base, stored(values, "F32"), keep)));
  });

  test("show even where they are dropped, and are reported", async () => {
    const base = stored(new Float64Array(5000), "F32");
    const [outcome] = await runOps([selection(base, stored(values, "F32"), 1)]);
    const out = decode((outcome as { bytes: Uint8Array }).bytes, "F32");
    expect([...out.keys()].filter((i) => Number.isNaN(out[i]))).toEqual([7, 11, 4000]);
    expect(outcome?.result.nonFinite).toEqual([false, true]);
  });

  test("do not spread by rescaling", async () => {
    const op = selection(stored(new Float64Array(5000), "F32"), stored(values, "F32"), 2500);
    const rescaled = { ...op, params: [1, 0, 1, 1, 2500] };
    await expectOracle([rescaled]);
    const [outcome] = await runOps([rescaled]);
    const out = decode((outcome as { bytes: Uint8Array }).bytes, "F32");
    expect(out.reduce((sum, x) => sum + (Number.isNaN(x) ? 1 : 0), 0)).toBeLessThan(5);
  });
});

describe("the vote", () => {
  const literal = (params: number[], ...rows: number[][]): WorkOp => ({
    kernel: "ties",
    params,
    inputs: rows.map((row) => stored(row, "F32")),
    dtype: "F32",
    count: (rows[0] as number[]).length,
  });
  const outputs = async (op: WorkOp) => {
    const [outcome] = await runOps([op]);
    return Array.from(decode((outcome as { bytes: Uint8Array }).bytes, "F32"));
  };

  test("that ends even counts as positive", async () => {
    expect(await outputs(literal([1, 1, 0, 0.5, -1, 0.5, -1], [0, 0], [2, -2], [-2, 2]))).toEqual([2, 2]);
  });

  test("divides by the weights that agree, or not at all", async () => {
    expect(await outputs(literal([1, 1, 0, 0.5, -1, 0.25, -1], [0, 1], [4, 1], [8, -7]))).toEqual(
      [16 / 3, -7].map(Math.fround),
    );
    expect(await outputs(literal([1, 0, 0, 0.5, -1, 0.25, -1], [0, 1], [4, 1], [8, -7]))).toEqual([4, -1]);
  });

  test("leaves the base where nobody differs", async () => {
    expect(await outputs(literal([1, 1, 0, 0.5, -1, 0.5, -1], [3, -3], [3, -3], [3, -3]))).toEqual([3, -3]);
  });

  test("does not divide by what rounding left of weights that cancel", async () => {
    // 0.7 + 0.3 - 1 is not zero in float32; neither is 0.1 + 0.2 - 0.3 in any binary format.
    for (const [a, b, c] of [[0.7, 0.3, -1] as const, [0.1, 0.2, -0.3] as const, [0.6, -0.2, -0.4] as const]) {
      const [out] = await outputs(
        literal([1, 1, 0, a, -1, b, -1, c, -1], [0], [Math.sign(a)], [Math.sign(b)], [Math.sign(c)]),
      );
      expect(out).toBeCloseTo(Math.abs(a) + Math.abs(b) + Math.abs(c), 5);
    }
  });
});
