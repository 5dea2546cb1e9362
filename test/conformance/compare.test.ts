import { describe, expect, test } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { encode } from "../oracle/dtype.ts";
import { compareTensor, type Truth } from "./compare.ts";
import { configFault } from "./config-meaning.ts";
import { statisticsFault, statisticsOf } from "./statistics.ts";

function tensor(values: number[], dtype: FloatDtype) {
  return { dtype, shape: [values.length], bytes: encode(values, dtype) };
}

function truth(values: number[], contested: number[] = [], alternatives: [number, number][] = []): Truth {
  return {
    values: Float64Array.from(values),
    terms: Float64Array.from(values, Math.abs),
    contested: new Set(contested),
    alternatives: new Map(alternatives),
  };
}

describe("float32", () => {
  const theirs = Array.from({ length: 400 }, (_, i) => (i - 200) / 64);

  test("agrees within the tolerance, whatever the sign", () => {
    const ours = theirs.map((x) => x * (1 + 9e-6) + 5e-7);
    expect(compareTensor(tensor(ours, "F32"), tensor(theirs, "F32"), undefined).fault).toBeUndefined();
  });

  test("forgives half a percent of the elements and no more", () => {
    const off = (count: number) =>
      tensor(
        theirs.with(7, 100).map((x, i) => (i < count ? 50 : x)),
        "F32",
      );
    expect(compareTensor(off(1), tensor(theirs, "F32"), undefined).fault).toBeUndefined();
    expect(compareTensor(off(3), tensor(theirs, "F32"), undefined).fault).toContain("of 400 elements");
  });

  test("wants NaN where the reference has it", () => {
    const [nan, one] = [tensor([Number.NaN], "F32"), tensor([1], "F32")];
    expect(compareTensor(nan, nan, undefined).fault).toBeUndefined();
    expect(compareTensor(one, nan, undefined).fault).toBeDefined();
    expect(compareTensor(nan, one, undefined).fault).toBeDefined();
  });

  test("holds contested elements to the truth instead of the reference", () => {
    const theirsOnly = tensor([1, 5], "F32");
    expect(compareTensor(tensor([1, 2], "F32"), theirsOnly, truth([1, 2], [1])).fault).toBeUndefined();
    expect(compareTensor(tensor([1, 5], "F32"), theirsOnly, truth([1, 2], [1])).fault).toContain("should be 2");
  });
});

describe("bfloat16", () => {
  const exact = [1.001, 2.003, 3.005];

  test("must be at least as close to the truth as the reference", () => {
    const [near, far] = [tensor([1, 2, 3], "BF16"), tensor([1.0078125, 2, 3], "BF16")];
    expect(compareTensor(near, far, truth(exact)).fault).toBeUndefined();
    expect(compareTensor(far, near, truth(exact)).fault).toContain("L2 distance");
  });

  test("does not trust a truth that the reference is far from", () => {
    expect(compareTensor(tensor([2, 4, 6], "BF16"), tensor([1, 2, 3], "BF16"), truth([2, 4, 6])).fault).toContain(
      "not the same quantity",
    );
  });

  test("takes either outcome of a close vote, and nothing else", () => {
    const either = truth([1, 2], [], [[1, 7]]);
    const theirs = tensor([1, 2], "BF16");
    expect(compareTensor(tensor([1, 7], "BF16"), theirs, either).fault).toBeUndefined();
    expect(compareTensor(tensor([1, 5], "BF16"), theirs, either).fault).toContain("element 1");
  });

  test("must be the same bytes where no truth is known", () => {
    expect(compareTensor(tensor([1], "BF16"), tensor([1], "BF16"), undefined).fault).toBeUndefined();
    expect(compareTensor(tensor([1], "BF16"), tensor([1.0078125], "BF16"), undefined).fault).toBeDefined();
  });
});

test("config.json is compared by what it means", () => {
  const theirs = { model_type: "llama", num_hidden_layers: 2, dtype: "bfloat16", tie_word_embeddings: false };
  const { tie_word_embeddings: _, dtype, ...rest } = theirs;
  expect(configFault({ ...rest, torch_dtype: dtype, extra: 1 }, theirs)).toBeUndefined();
  expect(configFault({ ...theirs, num_hidden_layers: 3 }, theirs)).toContain("num_hidden_layers");
  expect(configFault({ ...theirs, tie_word_embeddings: true }, theirs)).toContain("tie_word_embeddings");
  expect(configFault({ ...theirs, dtype: "float32" }, theirs)).toContain("dtype");
});

test("a statistic may be four standard deviations from its mean", () => {
  const actual = statisticsOf(Float64Array.from([1, 2, 3, 5]), Float64Array.from([1, 2, 2, 2]));
  expect(actual).toEqual({ changed_frac: 0.5, delta_l1: 4, delta_l2: Math.sqrt(10), delta_sum: 4 });
  const around = (mean: number, std: number) => ({ mean, std });
  const recorded = {
    changed_frac: around(0.5, 0.1),
    delta_l1: around(4, 0),
    delta_l2: around(3.2, 0.02),
    delta_sum: around(4.39, 0.1),
  };
  expect(statisticsFault(actual, recorded)).toBeUndefined();
  expect(statisticsFault(actual, { ...recorded, delta_sum: around(4.45, 0.1) })).toContain("delta_sum");
});
