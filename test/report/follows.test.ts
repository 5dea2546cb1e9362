import { describe, expect, test } from "bun:test";
import { norms, othersOf, relativeChange, shareTaken, stacksOf } from "../../src/report/cells.ts";
import { followed, followsMap } from "../../src/report/follows.ts";
import { largestSection } from "../../src/report/largest.ts";
import type { MeasuredTensor } from "../../src/report/measure.ts";
import { elements, parseMarkup } from "./well-formed.ts";

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
const minus = (a: readonly number[], b: readonly number[]) => a.map((x, i) => x - (b[i] as number));

/** What is measured of a tensor, from its elements. */
function measured(tensor: string, out: number[], base: number[], inputs: Record<string, number[]>): MeasuredTensor {
  const change = minus(out, base);
  const squares = dot(change, change);
  return {
    op: { tensor, dtype: "F32", shape: [out.length], shard: 0, offset: 0, kernel: "linear", inputs: [], params: [] },
    elements: out.length,
    squares: dot(out, out),
    nonFinite: 0,
    change: squares,
    changed: out.length,
    conflicts: 0,
    others: Object.keys(inputs).length,
    inputs: [
      { model: "base", isReference: true, squares: dot(base, base), distance: squares, change: 0, product: 0 },
      ...Object.entries(inputs).map(([model, x]) => {
        const own = minus(x, base);
        const far = minus(out, x);
        const product = dot(own, change);
        return {
          model,
          isReference: false,
          squares: dot(x, x),
          distance: dot(far, far),
          change: dot(own, own),
          product,
        };
      }),
    ],
  };
}

const LABELS = new Map([
  ["base", "base"],
  ["org/a", "a"],
  ["org/b", "b"],
]);
const OTHERS = ["org/a", "org/b"];

describe("the input that a change follows", () => {
  test("is the one with the larger cosine, not the one with the larger change", () => {
    const one = measured("w", [2, 0.1], [1, 0], { "org/a": [1.5, 0], "org/b": [1, 90] });
    expect(followed([one], OTHERS)).toEqual({ index: 0, cosine: expect.closeTo(1 / Math.sqrt(1.01), 12) });
  });

  test("is none where nothing changed, no input did, or the output went against all of them", () => {
    const still = measured("w", [1, 0], [1, 0], { "org/a": [2, 0], "org/b": [3, 0] });
    const alone = measured("w", [2, 0], [1, 0], { "org/a": [1, 0], "org/b": [1, 0] });
    const against = measured("w", [0, 0], [1, 0], { "org/a": [2, 0], "org/b": [3, 0] });
    for (const one of [still, alone, against]) expect(followed([one], OTHERS)).toBeUndefined();
  });

  test("of several tensors is that of all of them together", () => {
    const small = measured("v", [1.1], [1], { "org/a": [2], "org/b": [1] });
    const large = measured("w", [9], [1], { "org/a": [1], "org/b": [9] });
    expect(followed([small, large], OTHERS)?.index).toBe(1);
  });
});

test("how much of an input's change was taken over is its projection", () => {
  const one = measured("w", [1.25, 7], [1, 0], { "org/a": [2, 0], "org/b": [1, 14] });
  expect(shareTaken([one], "org/a")).toBeCloseTo(0.25, 12);
  expect(shareTaken([one], "org/b")).toBeCloseTo(0.5, 12);
  expect(shareTaken([one], "base")).toBeNaN();
});

test("a tensor with a NaN is left out of the figures of all others, and has none itself", () => {
  const fine = measured("v", [1.5], [1], { "org/a": [2], "org/b": [1] });
  const broken = measured("w", [Number.NaN], [1], { "org/a": [Number.NaN], "org/b": [1] });
  expect(relativeChange([fine, broken], "base")).toBe(0.5);
  expect(shareTaken([fine, broken], "org/a")).toBe(0.5);
  expect(norms([fine, broken], "base")).toEqual({ output: 1.5, input: 1 });
  expect(followed([fine, broken], OTHERS)).toEqual({ index: 0, cosine: 1 });
  expect(relativeChange([broken], "base")).toBeNaN();
  expect(largestSection([], [fine, broken], LABELS)[0]?.table?.rows.length).toBe(1);
});

/** Layers of two modules: the first half follows a, the other b, and the norm of the second layer nobody. */
function layers(count: number): MeasuredTensor[] {
  return Array.from({ length: count }, (_, layer) => [
    measured(`model.layers.${layer}.mlp.weight`, layer < count / 2 ? [2 + layer / 99, 1] : [1, 3], [1, 1], {
      "org/a": [2, 1],
      "org/b": [1, 2],
    }),
    measured(`model.layers.${layer}.norm.weight`, layer === 1 ? [1] : [1.1], [1], { "org/a": [2], "org/b": [1] }),
  ]).flat();
}

test("the map has a colour for each input, its number once for each run, and a table that says the same", () => {
  const tensors = layers(6);
  const [stack] = stacksOf(tensors).stacks;
  const chart = followsMap("A map", stack as never, othersOf(tensors, LABELS));
  const root = parseMarkup(chart.drawing);
  const cells = elements(root, "rect").map(({ attributes }) => attributes.get("fill"));
  expect(cells.filter((fill) => fill === "url(#no-number)").length).toBe(1);
  expect(new Set(cells).size).toBe(3);
  expect(elements(root, "li").map(({ text }) => text)).toEqual(["1 a", "2 b"]);
  const numbers = elements(root, "text").filter(
    ({ text, attributes }) => /^[12]$/.test(text) && attributes.has("transform"),
  );
  // Of the norms: one run before the layer without, one after it; of the others a run each; and layers 1 and 2 have names.
  expect(numbers.length).toBe(4 + 2);
  expect(chart.table?.head).toEqual(["Layer", "mlp", "norm"]);
  expect(chart.table?.rows[1]).toEqual(["1", "a 1.000", "-"]);
  expect(chart.table?.rows[5]).toEqual(["5", "b 1.000", "a 1.000"]);
  expect(cells.length).toBe((chart.table?.rows.flat().length as number) - 6);
});

test("the largest changes come first, with the input that they follow, and those of none are left out", () => {
  const tensors = layers(6);
  const { stacks, outside } = stacksOf([
    ...tensors,
    measured("head.weight", [99], [1], { "org/a": [99], "org/b": [1] }),
  ]);
  const [section] = largestSection(stacks, outside, othersOf(tensors, LABELS));
  expect(section?.table?.rows[0]?.slice(0, 5)).toEqual(["-", "head.weight", "9800.0 %", "a", "1.000"]);
  expect(section?.table?.rows[1]?.slice(0, 5)).toEqual(["3", "mlp", "141.4 %", "b", "1.000"]);
  expect(section?.table?.rows.length).toBe(12);
  const same = [measured("w", [1], [1], { "org/a": [2] })];
  expect(largestSection([], same, othersOf(same, LABELS))[0]?.table).toBeUndefined();
});
