import { describe, expect, test } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { FLOAT_DTYPES } from "../oracle/dtype.ts";
import { expectOracle } from "./against-oracle.ts";
import { family, runOps, sizesOf, stored, type WorkOp } from "./workbench.ts";

/** Kernels whose result depends on how the elements lie in rows and columns, with numbers for each variant of them. */
const KERNELS: readonly { name: string; inputs: readonly number[]; params(inputs: number): number[][] }[] = [
  { name: "nuslerp", inputs: [2], params: () => [0, 1, 2].map((vectors) => [0.3, vectors]) },
  { name: "nuslerp_base", inputs: [3], params: () => [0, 1, 2].map((vectors) => [0.7, vectors]) },
  { name: "model_stock", inputs: [3, 4, 7, 10], params: () => [[0], [1]] },
  {
    name: "della",
    inputs: [2, 4],
    params: (inputs) => [
      [1, 1, 1, ...Array.from({ length: inputs - 1 }, (_, k) => [0.5 + k, 0.6 - 0.1 * k, 0.3]).flat()],
      [0.8, 0, 0, ...Array.from({ length: inputs - 1 }, (_, k) => [0.5 + k, [0.5, 1, 0][k] as number, 0.1]).flat()],
    ],
  },
  { name: "arcee_fusion", inputs: [2], params: () => [[]] },
];

const SHAPES: readonly (readonly number[])[] = [
  [],
  [1],
  [7],
  [1, 1],
  [1, 9],
  [9, 1],
  [5, 8],
  [8, 5],
  [33, 65],
  [65, 33],
  [3, 4, 5],
  [5, 1, 7],
  [1, 6, 1],
  [2, 3, 4, 5],
  [0, 4],
  [4, 0],
  [0],
];

/** Rows longer than a chunk or than a partial sum, and more rows than one task takes. */
const LARGE: readonly (readonly number[])[] = [
  [3, 1025],
  [1025, 3],
  [2, 65_537],
  [65_537, 2],
  [70_001, 1],
  [7, 11, 1023],
];

function makeOps(kernel: (typeof KERNELS)[number], shapes: typeof SHAPES, dtypes: readonly FloatDtype[]): WorkOp[] {
  const ops: WorkOp[] = [];
  for (const [s, shape] of shapes.entries()) {
    const sizes = sizesOf(shape);
    for (const inputs of kernel.inputs) {
      for (const dtype of dtypes) {
        for (const params of kernel.params(inputs)) {
          const models = family(sizes.count, inputs - 1, 100 * s + inputs, 0.02);
          ops.push({
            kernel: kernel.name,
            params,
            inputs: models.map((values, k) => stored(values, k === 1 ? (FLOAT_DTYPES[s % 3] as FloatDtype) : dtype)),
            dtype,
            ...sizes,
            tensor: `t${s}`,
          });
        }
      }
    }
  }
  return ops;
}

describe.each(KERNELS.map((kernel) => [kernel.name, kernel] as const))("%s", (_, kernel) => {
  test("agrees with the oracle in every shape", () => expectOracle(makeOps(kernel, SHAPES, FLOAT_DTYPES)));

  test("agrees with the oracle where rows are long, and where they are many", () => {
    const few = { ...kernel, inputs: kernel.inputs.slice(0, 1) };
    return expectOracle(makeOps(few, LARGE, ["BF16", "F32"]));
  });
});

test("the kind of vector makes a difference", async () => {
  const [a, b] = family(60, 1, 5, 0.05).map((values) => stored(values, "F32")) as [
    WorkOp["inputs"][0],
    WorkOp["inputs"][0],
  ];
  const op = (vectors: number, shape: number[]): WorkOp => {
    return { kernel: "nuslerp", params: [0.3, vectors], inputs: [a, b], dtype: "F32", ...sizesOf(shape) };
  };
  const texts = (await runOps([op(0, [6, 10]), op(1, [6, 10]), op(2, [6, 10]), op(1, [10, 6])])).map(({ bytes }) =>
    Buffer.from(bytes).toString("hex"),
  );
  expect(new Set(texts).size).toBe(4);
  // A vector is itself, whichever way it is looked at.
  const vector = await runOps([0, 1, 2].map((vectors) => op(vectors, [60])));
  expect(vector.map(({ bytes }) => Buffer.from(bytes).toString("hex"))).toEqual(Array(3).fill(texts[0]));
});
