import { describe, expect, test } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { decode } from "../oracle/dtype.ts";
import { exactSum } from "../oracle/methods.ts";
import { maskOfKey, randomMask } from "../oracle/philox.ts";
import { numbers, runOps, stored, type WorkOp } from "./workbench.ts";

interface Draw {
  count: number;
  p: number;
  seed?: number;
  tensor?: string;
  stream?: number;
  dtype?: FloatDtype;
  rescale?: boolean;
  values?: ArrayLike<number>;
}

/** One model over a base of zeros with weight 1: what is dropped is zero in the output. */
function draw({ count, p, seed = 0, tensor = "w", stream = 1, dtype = "F32", rescale = false, values }: Draw): WorkOp {
  const model = values ?? new Float64Array(count).fill(1);
  return {
    kernel: "dare_linear",
    params: [1, 0, rescale ? 1 : 0, 1, p],
    inputs: [stored(new Float64Array(count), dtype, 0), stored(model, dtype, stream)],
    dtype,
    count,
    seed,
    tensor,
  };
}

async function masks(draws: readonly Draw[]): Promise<Uint8Array[]> {
  const outcomes = await runOps(draws.map(draw));
  return outcomes.map(({ bytes }, i) =>
    Uint8Array.from(decode(bytes, draws[i]?.dtype ?? "F32"), (x) => (x === 0 ? 0 : 1)),
  );
}

const kept = (mask: Uint8Array) => mask.reduce((sum, bit) => sum + bit, 0);

describe("the mask is Philox's, bit for bit", () => {
  test("for every size, seed, name, source and probability", async () => {
    const draws: Draw[] = [];
    for (const count of [1, 2, 3, 4, 5, 15, 16, 17, 1023, 1024, 1025, 4099, 65_537]) draws.push({ count, p: 0.5 });
    for (const seed of [1, 42, 2 ** 32 - 1]) draws.push({ count: 999, p: 0.5, seed });
    const longName = `model.${"layers.".repeat(60)}weight`;
    for (const tensor of ["", "a", "model.embed_tokens.weight", "größe.重み", longName]) {
      draws.push({ count: 999, p: 0.5, tensor, seed: 3 });
    }
    for (const stream of [0, 2, 63, 2 ** 32 - 1]) draws.push({ count: 999, p: 0.5, stream });
    for (const p of [0, 2 ** -33, 2 ** -32, 1e-3, 0.1, 1 / 3, 0.9, 1 - 2 ** -32, 1 - 2 ** -33, 1, 1.5])
      draws.push({ count: 20_000, p });
    for (const dtype of ["F64", "F32", "F16", "BF16"] as const) draws.push({ count: 3333, p: 0.7, dtype });
    const found = await masks(draws);
    for (const [i, { count, p, seed = 0, tensor = "w", stream = 1 }] of draws.entries()) {
      const same = Buffer.compare(found[i] as Uint8Array, randomMask(seed, tensor, stream, count, p)) === 0;
      expect([draws[i], same]).toEqual([draws[i], true]);
    }
  });

  test("for seeds of more than 32 bits", async () => {
    // Hashes of the tensor names by python-xxhash 4.0.1: xxh3_64_intdigest(name, seed).
    const longName = `model.${"layers.".repeat(60)}weight`;
    const recorded: [number, string, bigint][] = [
      [2 ** 32, "w", 12471513332499358680n],
      [2 ** 52 + 1, "w", 3481433199190158672n],
      [2 ** 53 - 1, "w", 44633678834348064n],
      [2 ** 40 + 7, longName, 6678772415753241289n],
    ];
    const found = await masks(recorded.map(([seed, tensor]) => ({ count: 999, p: 0.5, seed, tensor })));
    for (const [i, [, , hash]] of recorded.entries()) expect(found[i]).toEqual(maskOfKey(hash, 1, 999, 0.5));
  });

  test("with many sources, each its own stream", async () => {
    const count = 2050;
    const inputs = Array.from({ length: 8 }, (_, k) =>
      stored(new Float64Array(count).fill(k === 0 ? 0 : 2 ** k), "F32", k),
    );
    const params = [1, 0, 0, ...Array.from({ length: 7 }, () => [1, 0.5]).flat()];
    const [outcome] = await runOps([{ kernel: "dare_linear", params, inputs, dtype: "F32", count }]);
    // Each source is one bit of the sum.
    const expected = new Float64Array(count);
    for (let k = 1; k < 8; k++) {
      const mask = randomMask(0, "w", k, count, 0.5);
      for (const [i, bit] of mask.entries()) expected[i] = (expected[i] as number) + bit * 2 ** k;
    }
    expect(decode((outcome as { bytes: Uint8Array }).bytes, "F32")).toEqual(expected);
  });
});

describe("statistically", () => {
  test("the share kept is within five standard deviations of the probability", async () => {
    const count = 1_000_003;
    const probabilities = [0.05, 0.3, 0.5, 0.8];
    const found = await masks(probabilities.map((p, seed) => ({ count, p, seed })));
    for (const [i, p] of probabilities.entries()) {
      const deviation = Math.sqrt(count * p * (1 - p));
      expect(Math.abs(kept(found[i] as Uint8Array) - count * p)).toBeLessThan(5 * deviation);
    }
  });

  test("masks of two seeds, two sources and two tensors are independent", async () => {
    const count = 200_000;
    const [first, ...others] = await masks([
      { count, p: 0.5 },
      { count, p: 0.5, seed: 1 },
      { count, p: 0.5, stream: 2 },
      { count, p: 0.5, tensor: "v" },
    ]);
    for (const other of others) {
      const both = other.reduce((sum, bit, i) => sum + (bit & (first?.[i] as number)), 0);
      expect(Math.abs(both - count / 4)).toBeLessThan(5 * Math.sqrt(count * 0.25 * 0.75));
    }
  });
});

describe("rescaling", () => {
  test("restores the sum of the magnitudes", async () => {
    const count = 300_001;
    const values = numbers(5).list(count, 1e-3);
    const [outcome] = await runOps([draw({ count, p: 0.3, rescale: true, values })]);
    const out = decode((outcome as { bytes: Uint8Array }).bytes, "F32");
    const sum = (list: Float64Array) => exactSum(count, (i) => Math.abs(list[i] as number));
    expect(sum(out) / sum(values)).toBeCloseTo(1, 7);
  });

  test("is not dividing by the density", async () => {
    const values = [8, 1, 1, 1, 1, 1, 1, 1];
    const mask = randomMask(0, "w", 1, 8, 0.5);
    const [outcome] = await runOps([draw({ count: 8, p: 0.5, rescale: true, values })]);
    const out = Array.from(decode((outcome as { bytes: Uint8Array }).bytes, "F32"));
    const factor = 15 / values.reduce((sum, x, i) => sum + x * (mask[i] as number), 0);
    expect(factor).not.toBeCloseTo(2, 1);
    for (const [i, x] of out.entries()) expect(x).toBeCloseTo((values[i] as number) * (mask[i] as number) * factor, 5);
  });

  test("gives the base where everything is dropped", async () => {
    expect(kept((await masks([{ count: 1000, p: 0, rescale: true }]))[0] as Uint8Array)).toBe(0);
  });
});
