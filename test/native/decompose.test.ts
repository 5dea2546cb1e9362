import { describe, expect, test } from "bun:test";
import { decompose, optimum, residual, spectra, transposed, withSpectrum } from "./decompositions.ts";

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
