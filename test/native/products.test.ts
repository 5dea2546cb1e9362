import { afterAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { type NativeMatrix, native } from "../../src/native.ts";
import { decode, encode } from "../oracle/dtype.ts";
import { numbers } from "./workbench.ts";

const addon = native();
const { targets } = addon.info();
afterAll(() => addon.configure({}));

interface Operand {
  matrix: NativeMatrix;
  /** Element (i, j) as float64, transposition included. */
  at(i: number, j: number): number;
}

/** A matrix of random numbers, `gap` elements between its rows. */
function operand(
  rows: number,
  columns: number,
  seed: number,
  dtype: FloatDtype,
  transposed: boolean,
  gap = 0,
): Operand {
  const [storedRows, storedColumns] = transposed ? [columns, rows] : [rows, columns];
  const stride = storedColumns + gap;
  const bytes = encode(numbers(seed).list(storedRows * stride), dtype);
  const values = decode(bytes, dtype);
  return {
    matrix: { bytes, dtype, rows: storedRows, columns: storedColumns, stride, transposed },
    at: (i, j) => Math.fround(values[transposed ? j * stride + i : i * stride + j] as number),
  };
}

/** alpha a b + beta c in float64, and the sum of the magnitudes that were added. */
function oracle(a: Operand, b: Operand, c: Float32Array, k: number, alpha: number, beta: number) {
  const columns = c.length / (a.matrix.transposed ? a.matrix.columns : a.matrix.rows);
  return Array.from(c, (before, index) => {
    const [i, j] = [Math.floor(index / columns), index % columns];
    let sum = 0;
    let size = 0;
    for (let l = 0; l < k; l++) {
      const product = a.at(i, l) * b.at(l, j);
      sum += product;
      size += Math.abs(product);
    }
    return { value: alpha * sum + beta * before, size: Math.abs(alpha) * size + Math.abs(beta * before) };
  });
}

function expectProduct(a: Operand, b: Operand, m: number, n: number, k: number, alpha = 1, beta = 0): Float32Array {
  const before = Float32Array.from(numbers(7).list(m * n));
  const c = Float32Array.from(before);
  addon.multiply({ a: a.matrix, b: b.matrix, c, alpha, beta });
  for (const [index, { value, size }] of oracle(a, b, before, k, alpha, beta).entries()) {
    const error = Math.abs((c[index] as number) - value);
    // Float32 sums of k terms: k roundings of at most 2^-24 of what was added up so far.
    if (!(error <= (Math.min(k, 256) + 4) * 2 ** -24 * size)) {
      throw new Error(`element ${index} of ${m}x${n}x${k} is ${c[index]}, not ${value}`);
    }
  }
  return c;
}

describe.each(targets)("on %s", (target) => {
  test("a product agrees with float64 at odd sizes, for either direction of both operands", () => {
    addon.configure({ target });
    const size = fc.integer({ min: 1, max: 70 });
    fc.assert(
      fc.property(size, size, size, fc.boolean(), fc.boolean(), (m, n, k, ta, tb) => {
        expectProduct(operand(m, k, 1, "F32", ta, 3), operand(k, n, 2, "F32", tb, 1), m, n, k);
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  test("an inner dimension of several blocks is added up over all of them", () => {
    addon.configure({ target });
    for (const k of [255, 256, 257, 700]) {
      expectProduct(operand(13, k, 3, "F32", false), operand(k, 35, 4, "F32", true), 13, 35, k, 0.5, 2);
    }
  });

  test("operands are read in every float dtype", () => {
    addon.configure({ target });
    for (const dtype of ["F64", "F32", "F16", "BF16"] as const) {
      for (const transposed of [false, true]) {
        expectProduct(operand(29, 45, 5, dtype, transposed), operand(45, 33, 6, dtype, transposed), 29, 33, 45);
      }
    }
  });

  test("an element is the same bits in a product of any shape", () => {
    addon.configure({ target, threads: 2 });
    const [side, k] = [300, 1900];
    const [a, b] = [operand(side, k, 8, "F32", false).matrix, operand(k, side, 9, "F32", false).matrix];
    const multiply = (rows: number, columns: number) => {
      const c = new Float32Array(rows * columns);
      addon.multiply({ a: { ...a, rows }, b: { ...b, columns }, c, alpha: 1, beta: 0 });
      return c;
    };
    const whole = multiply(side, side);
    for (const [rows, columns] of [
      [20, side],
      [288, side],
      [side, 14],
      [side, 288],
    ] as [number, number][]) {
      const part = multiply(rows, columns);
      expect(part.every((value, at) => value === whole[Math.floor(at / columns) * side + (at % columns)])).toBe(true);
    }
  });

  test.each([150, 300])("the number of threads does not change a bit, of %d rows", (m) => {
    const [n, k] = [530, 300];
    const [a, b] = [operand(m, k, 8, "F32", false), operand(k, n, 9, "BF16", true)];
    const results = [1, 2, 3, 5].map((threads) => {
      addon.configure({ target, threads });
      const c = new Float32Array(m * n);
      addon.multiply({ a: a.matrix, b: b.matrix, c, alpha: 1, beta: 0 });
      return Buffer.from(c.buffer).toString("base64");
    });
    expect(new Set(results).size).toBe(1);
  });
});

test("where nothing is kept of C, what was there does not matter", () => {
  const c = Float32Array.from([Number.NaN, Number.POSITIVE_INFINITY]);
  const one: NativeMatrix = {
    bytes: Float32Array.from([2]),
    dtype: "F32",
    rows: 1,
    columns: 1,
    stride: 1,
    transposed: false,
  };
  const two: NativeMatrix = { ...one, bytes: Float32Array.from([3, 4]), columns: 2, stride: 2 };
  addon.multiply({ a: one, b: two, c, alpha: 1, beta: 0 });
  expect([...c]).toEqual([6, 8]);
});

test("without an inner dimension, C is scaled", () => {
  const c = Float32Array.from([1, 2]);
  const empty: NativeMatrix = {
    bytes: new Float32Array(0),
    dtype: "F32",
    rows: 0,
    columns: 0,
    stride: 0,
    transposed: false,
  };
  addon.multiply({ a: { ...empty, rows: 1 }, b: { ...empty, columns: 2, stride: 2 }, c, alpha: 1, beta: 0.5 });
  expect([...c]).toEqual([0.5, 1]);
});

test("sizes that do not fit are refused", () => {
  const bytes = new Float32Array(4);
  const two: NativeMatrix = { bytes, dtype: "F32", rows: 2, columns: 2, stride: 2, transposed: false };
  const multiply = (a: NativeMatrix, b: NativeMatrix, count: number) =>
    addon.multiply({ a, b, c: new Float32Array(count), alpha: 1, beta: 0 });
  expect(() => multiply(two, { ...two, rows: 1 }, 4)).toThrow("inner dimensions");
  expect(() => multiply(two, two, 3)).toThrow("as many elements");
  expect(() => multiply({ ...two, rows: 3 }, two, 6)).toThrow("beyond the end");
  expect(() => multiply({ ...two, dtype: "I32" }, two, 4)).toThrow("floats only");
});
