import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type NativeDecomposition, type NativeFactors, native } from "../../src/native.ts";
import { decode, encode } from "../oracle/dtype.ts";
import { inFolder, numbers } from "./workbench.ts";

/** I - 2 v v^T, applied to every column of a row-major matrix: an orthogonal change that costs little. */
function reflect(matrix: Float64Array, rows: number, columns: number, v: Float64Array): void {
  const norm = v.reduce((sum, x) => sum + x * x, 0);
  for (let j = 0; j < columns; j++) {
    let dot = 0;
    for (let i = 0; i < rows; i++) dot += (v[i] as number) * (matrix[i * columns + j] as number);
    for (let i = 0; i < rows; i++) {
      matrix[i * columns + j] = (matrix[i * columns + j] as number) - ((2 * dot) / norm) * (v[i] as number);
    }
  }
}

function transposed(matrix: Float64Array, rows: number, columns: number): Float64Array {
  return Float64Array.from(matrix, (_, at) => matrix[(at % rows) * columns + Math.floor(at / rows)] as number);
}

/** A matrix whose singular values are known: a diagonal between products of reflections. */
function withSpectrum(rows: number, columns: number, spectrum: (i: number) => number, seed: number): Float64Array {
  const { list } = numbers(seed);
  const diagonal = new Float64Array(rows * columns);
  for (let i = 0; i < Math.min(rows, columns); i++) diagonal[i * columns + i] = spectrum(i);
  for (let n = 0; n < 4; n++) reflect(diagonal, rows, columns, list(rows));
  const other = transposed(diagonal, rows, columns);
  for (let n = 0; n < 4; n++) reflect(other, columns, rows, list(columns));
  return transposed(other, columns, rows);
}

interface Decomposed {
  found: NativeFactors;
  a: Float64Array;
  b: Float64Array;
}

/** Decomposes a matrix that lies in a file as float32. */
async function decompose(
  matrix: Float64Array,
  [rows, columns]: [number, number],
  asked: Partial<NativeDecomposition> & { rank: number },
): Promise<Decomposed> {
  return await inFolder(async (folder) => {
    const addon = native();
    writeFileSync(join(folder, "matrix"), encode(matrix, "F32"));
    const source = addon.openSource(join(folder, "matrix")).handle;
    const [outputs, inputs] = asked.transposed ? [columns, rows] : [rows, columns];
    const bOffset = 4 * asked.rank * inputs;
    const sink = addon.createSink(join(folder, "factors"), bOffset + 4 * asked.rank * outputs);
    const usual = { offset: 0, transposed: false, epsilon: 0, share: 1, distribute: true, seed: 0, threads: 1 };
    const task = { ...usual, ...asked, source, sink, rows, columns, aOffset: 0, bOffset, dtype: "F32" as const };
    try {
      const found = await addon.decompose(task);
      await addon.commitSink(sink, false);
      const written = new Uint8Array(readFileSync(join(folder, "factors")));
      const a = decode(written.subarray(0, 4 * found.rank * inputs), "F32");
      const b = decode(written.subarray(bOffset, bOffset + 4 * found.rank * outputs), "F32");
      return { found, a, b };
    } finally {
      addon.close(source);
    }
  });
}

/** Norm of (matrix - B A). */
function residual(matrix: Float64Array, { found, a, b }: Decomposed): number {
  const { rank } = found;
  const columns = a.length / rank;
  let sum = 0;
  for (let at = 0; at < matrix.length; at++) {
    const [i, j] = [Math.floor(at / columns), at % columns];
    let product = 0;
    for (let k = 0; k < rank; k++) product += (b[i * rank + k] as number) * (a[k * columns + j] as number);
    sum += ((matrix[at] as number) - product) ** 2;
  }
  return Math.sqrt(sum);
}

/** The norm of what the best approximation of this rank leaves (C. Eckart, G. Young, 1936). */
function optimum(spectrum: (i: number) => number, rank: number, side: number): number {
  let sum = 0;
  for (let i = rank; i < side; i++) sum += spectrum(i) ** 2;
  return Math.sqrt(sum);
}

const spectra: [string, (i: number) => number][] = [
  ["slowly falling", (i) => 1 / (1 + i) ** 0.5],
  ["flat", () => 1],
  ["steep", (i) => 2 ** -i],
  ["with a gap", (i) => (i < 10 ? 5 : 0.05)],
];

describe("a truncated decomposition", () => {
  test.each(spectra)("is within 1 %% of the best there is: %s singular values", async (_, spectrum) => {
    for (const [rows, columns] of [
      [160, 130],
      [96, 200],
      [40, 33],
    ] as [number, number][]) {
      const side = Math.min(rows, columns);
      for (const rank of [8, 24]) {
        const matrix = withSpectrum(rows, columns, spectrum, rows + rank);
        const decomposed = await decompose(matrix, [rows, columns], { rank });
        expect(decomposed.found.rank).toBe(rank);
        const norm = optimum(spectrum, 0, side);
        expect(residual(matrix, decomposed)).toBeLessThan(1.01 * optimum(spectrum, rank, side) + 1e-5 * norm);
      }
    }
  });

  test("is random only where it is large, and the random way was taken", async () => {
    const large = withSpectrum(160, 130, (i) => 1 / (1 + i), 3);
    expect((await decompose(large, [160, 130], { rank: 8 })).found.iterations).toBeGreaterThan(0);
    expect((await decompose(large, [160, 130], { rank: 100 })).found.iterations).toBe(0);
  });

  test("of full rank gives the matrix back, also where it has fewer rows than columns", async () => {
    for (const shape of [
      [37, 20],
      [20, 37],
      [700, 520],
    ] as [number, number][]) {
      const matrix = withSpectrum(...shape, (i) => 1 / (1 + i), 5);
      const rank = Math.min(...shape);
      expect(residual(matrix, await decompose(matrix, shape, { rank }))).toBeLessThan(2e-5);
    }
  });

  test("says how much of the matrix is kept", async () => {
    const spectrum = (i: number) => 0.7 ** i;
    const { found } = await decompose(withSpectrum(160, 130, spectrum, 6), [160, 130], { rank: 5 });
    expect(found.energy).toBeCloseTo(optimum(spectrum, 0, 130) ** 2, 5);
    expect(found.energy - found.kept).toBeCloseTo(optimum(spectrum, 5, 130) ** 2, 4);
    expect(found.largest).toBeCloseTo(1, 4);
    expect(found.smallest).toBeCloseTo(spectrum(4), 4);
  });

  test("keeps what exceeds epsilon, and no more than a share of the energy needs", async () => {
    const spectrum = (i: number) => 0.5 ** i;
    const matrix = withSpectrum(120, 150, spectrum, 7);
    expect((await decompose(matrix, [120, 150], { rank: 20, epsilon: 0.1 })).found.rank).toBe(4);
    // 1 - 4^-n of the energy is in the first n.
    expect((await decompose(matrix, [120, 150], { rank: 20, share: 0.9 })).found.rank).toBe(2);
    expect((await decompose(matrix, [120, 150], { rank: 1, share: 0.9 })).found.rank).toBe(1);
  });

  test("of a transposed matrix has the factors of the transpose; A may have all of the scale", async () => {
    const matrix = withSpectrum(60, 45, (i) => 1 / (1 + i), 8);
    const decomposed = await decompose(matrix, [60, 45], { rank: 45, transposed: true, distribute: false });
    expect(residual(transposed(matrix, 60, 45), decomposed)).toBeLessThan(2e-5);
    const column = decomposed.b.filter((_, at) => at % 45 === 3);
    expect(Math.hypot(...column)).toBeCloseTo(1, 5);
  });

  test("of zeros has rank 0", async () => {
    const { found } = await decompose(new Float64Array(64 * 80), [64, 80], { rank: 4 });
    expect([found.rank, found.energy]).toEqual([0, 0]);
  });

  test("of a matrix with a NaN is refused", async () => {
    const matrix = withSpectrum(10, 10, () => 1, 9).fill(Number.NaN, 3, 4);
    expect(decompose(matrix, [10, 10], { rank: 4 })).rejects.toThrow(/NaN or an infinity/);
  });

  test("does not depend on the number of threads", async () => {
    const matrix = withSpectrum(300, 200, (i) => 1 / (1 + i), 10);
    const one = await decompose(matrix, [300, 200], { rank: 12, threads: 1 });
    expect(await decompose(matrix, [300, 200], { rank: 12, threads: 3 })).toEqual(one);
  });
});
