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

export function transposed(matrix: Float64Array, rows: number, columns: number): Float64Array {
  return Float64Array.from(matrix, (_, at) => matrix[(at % rows) * columns + Math.floor(at / rows)] as number);
}

/** A matrix whose singular values are known: a diagonal between products of reflections. */
export function withSpectrum(
  rows: number,
  columns: number,
  spectrum: (i: number) => number,
  seed: number,
): Float64Array {
  const { list } = numbers(seed);
  const diagonal = new Float64Array(rows * columns);
  for (let i = 0; i < Math.min(rows, columns); i++) diagonal[i * columns + i] = spectrum(i);
  for (let n = 0; n < 4; n++) reflect(diagonal, rows, columns, list(rows));
  const other = transposed(diagonal, rows, columns);
  for (let n = 0; n < 4; n++) reflect(other, columns, rows, list(columns));
  return transposed(other, columns, rows);
}

export interface Decomposed {
  found: NativeFactors;
  a: Float64Array;
  b: Float64Array;
}

/** Decomposes a matrix that lies in a file as float32. */
export async function decompose(
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
export function residual(matrix: Float64Array, { found, a, b }: Decomposed): number {
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
export function optimum(spectrum: (i: number) => number, rank: number, side: number): number {
  let sum = 0;
  for (let i = rank; i < side; i++) sum += spectrum(i) ** 2;
  return Math.sqrt(sum);
}

export const spectra: [string, (i: number) => number][] = [
  ["slowly falling", (i) => 1 / (1 + i) ** 0.5],
  ["flat", () => 1],
  ["steep", (i) => 2 ** -i],
  ["with a gap", (i) => (i < 10 ? 5 : 0.05)],
];
