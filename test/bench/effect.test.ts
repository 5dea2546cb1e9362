import { expect, test } from "bun:test";
import { effectsOf, type TensorSums } from "../../src/bench/effect.ts";
import { compared } from "./effect-oracle.ts";

/** A tensor whose reference is zero but for its norm: differences are the values themselves. */
function tensor(part: TensorSums["part"], output: number[], models: number[][], reference = 100): TensorSums {
  const zero = output.map(() => 0);
  const sums = compared(zero, output, models);
  sums[3 * (models.length + 1) + 2] = reference;
  return { part, elements: output.length, compared: sums };
}

const ATTENTION = tensor(
  "attention",
  [3, 0, 0, 0],
  [
    [1, 0, 0, 0],
    [0, 2, -1, 0],
  ],
);
const NORM = tensor(
  "norm",
  [0, 4],
  [
    [-1, 1],
    [1, 1],
  ],
  44,
);

test("norms, relative change and density come from the sums of each part and of all", () => {
  const [attention, norm, total] = effectsOf([ATTENTION, NORM], 2);
  expect(attention).toMatchObject({ part: "attention", tensors: 1, elements: 4, changeNorm: 3, referenceNorm: 10 });
  expect(attention).toMatchObject({ relativeChange: 0.3, density: 0.25, signConflicts: 0 });
  expect(norm).toMatchObject({ part: "norm", changeNorm: 4, density: 0.5, signConflicts: 0.5 });
  expect(total).toMatchObject({ part: "total", tensors: 2, elements: 6, changeNorm: 5, referenceNorm: 12 });
  expect(total).toMatchObject({ density: 2 / 6, signConflicts: 1 / 5 });
});

test("cosines are those of the joined tensors, not means over tensors", () => {
  const [, , total] = effectsOf([ATTENTION, NORM], 2);
  // Output (3, 0, 0, 0, 0, 4), models (1, 0, 0, 0, -1, 1) and (0, 2, -1, 0, 1, 1).
  expect(total?.cosines[0]).toBeCloseTo((3 + 4) / (5 * Math.sqrt(3)), 14);
  expect(total?.cosines[1]).toBeCloseTo(4 / (5 * Math.sqrt(7)), 14);
});

test("parts come in a fixed order, and only those that are there", () => {
  const parts = effectsOf([NORM, tensor("other", [1], [[1]]), tensor("embedding", [1], [[1]])], 1);
  expect(parts.map(({ part }) => part)).toEqual(["embedding", "norm", "other", "total"]);
});

test("what was not changed has a change of zero and no direction", () => {
  const [still] = effectsOf([tensor("mlp", [0, 0], [[0, 0]])], 1);
  expect(still).toMatchObject({ changeNorm: 0, relativeChange: 0, density: 0 });
  expect(still?.cosines).toEqual([Number.NaN]);
  expect(still?.signConflicts).toBeNaN();
});

test("a cosine is never beyond one", () => {
  const third = tensor("mlp", [1 / 3, 1 / 7, 0.1], [[1 / 3, 1 / 7, 0.1]]);
  expect(effectsOf([third], 1)[0]?.cosines[0]).toBeLessThanOrEqual(1);
});
