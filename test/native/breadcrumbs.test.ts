import { describe, expect, test } from "bun:test";
import { encode } from "../oracle/dtype.ts";
import { expectOracle, outputsOf } from "./against-oracle.ts";
import { numbers, stored, type WorkOp } from "./workbench.ts";

/** One model over a base of zeros, weight 1: what is dropped is zero in the output. */
function crumbs(values: Float64Array, top: number, keep: number, more: Partial<WorkOp> = {}): WorkOp {
  const inputs = [stored(new Float64Array(values.length), "F32"), stored(values, "F32")];
  return {
    kernel: "breadcrumbs",
    params: [1, 0, 0, 1, top, keep],
    inputs,
    dtype: "F32",
    count: values.length,
    ...more,
  };
}

async function kept(ops: readonly WorkOp[]): Promise<number[][]> {
  return (await outputsOf(ops)).map((out) => [...out.keys()].filter((i) => out[i] !== 0));
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe("the largest are dropped, the next are kept, exactly as many as asked", () => {
  test("of rising magnitudes", async () => {
    for (const count of [1, 10, 70_001]) {
      const rising = Float64Array.from({ length: count }, (_, i) => i + 1);
      const parts: [number, number][] = [
        [0, count],
        [1, count - 1],
        [0, Math.trunc(count / 2)],
        [Math.trunc(count / 10), Math.trunc(count / 2)],
        [count, 0],
        [0, 0],
        [Math.trunc(count / 2), 1],
      ];
      const found = await kept(parts.map(([top, keep]) => crumbs(rising, top, keep)));
      for (const [i, [top, keep]] of parts.entries()) {
        const end = count - top;
        expect(found[i]).toEqual(range(Math.max(end - keep, 0), end));
      }
    }
  });

  test("of equal magnitudes, by index, whatever their sign", async () => {
    const values = Float64Array.from({ length: 100_000 }, (_, i) => (i % 3 === 0 ? -0.5 : 0.5));
    const [middle, late] = await kept([crumbs(values, 1000, 50_000), crumbs(values, 99_990, 10)]);
    expect(middle).toEqual(range(1000, 51_000));
    expect(late).toEqual(range(99_990, 100_000));
  });

  test("-1 keeps all and drops none", async () => {
    const values = numbers(1).list(5000);
    expect((await kept([crumbs(values, 0, -1)]))[0]).toHaveLength(5000);
  });

  test("of fine-tunes with few distinct differences", async () => {
    const ops: WorkOp[] = [];
    for (const noise of [3e-5, 3e-4]) {
      const count = 300_000;
      const { list } = numbers(7);
      const base = encode(list(count, 0.02), "BF16");
      const input = { bytes: base, dtype: "BF16" as const };
      const tuned = () => {
        const bytes = new Uint16Array(base.slice().buffer);
        // A step of one or two units in the last place, as training in bfloat16 leaves it.
        list(count, noise * 1e4).forEach((step, i) => {
          bytes[i] = (bytes[i] as number) + Math.trunc(step);
        });
        return { bytes: new Uint8Array(bytes.buffer), dtype: "BF16" as const };
      };
      const parts = [0.05 * count, 0.5 * count, 0.001 * count, 0.3 * count].map(Math.trunc);
      const params = [1, 0, 1, 0.7, ...parts.slice(0, 2), 0.4, ...parts.slice(2)];
      for (const kernel of ["breadcrumbs", "breadcrumbs_ties"]) {
        ops.push({ kernel, params, inputs: [input, tuned(), tuned()], dtype: "F32", count });
      }
    }
    await expectOracle(ops);
  });
});

test("NaN is largest: it is dropped first, and shows all the same", async () => {
  const values = numbers(2).list(1000).with(5, Number.NaN).with(600, Number.POSITIVE_INFINITY);
  await expectOracle([0, 1, 2, 3, 500].map((top) => crumbs(values, top, 300)));
  const [out] = await outputsOf([crumbs(values, 2, 300)]);
  expect([...(out as Float64Array).keys()].filter((i) => Number.isNaN(out?.[i]))).toEqual([5, 600]);
});

test("what is kept is scaled to the sum of all, the dropped outliers included", async () => {
  const values = Float64Array.from([100, 1, 2, 1, 0]);
  const [out] = await outputsOf([crumbs(values, 1, 2, { params: [1, 0, 1, 1, 1, 2] })]);
  // 2 and the first 1 are kept; all sum to 104.
  expect(Array.from(out as Float64Array, (x) => Math.fround(x))).toEqual([0, 104 / 3, 208 / 3, 0, 0].map(Math.fround));
});

test("the sign is elected among what was kept", async () => {
  const base = stored([0, 0, 0], "F32");
  const [a, b] = [stored([9, -3, 1], "F32"), stored([1, 4, -9], "F32")];
  const inputs = [base, a, b];
  const op: WorkOp = {
    kernel: "breadcrumbs_ties",
    params: [1, 0, 0, 1, 1, 1, 1, 1, 1],
    inputs,
    dtype: "F32",
    count: 3,
  };
  const [out] = await outputsOf([op]);
  // Kept: -3 of a, 4 of b; their sum is positive.
  expect([...(out as Float64Array)]).toEqual([0, 4, 0]);
});
