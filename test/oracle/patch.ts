import { readFileSync } from "node:fs";
import { DTYPE_BYTES, type FloatDtype } from "../../src/model/dtype.ts";
import type { TensorFactor, TensorPatch } from "../../src/model/types.ts";
import { decode } from "./dtype.ts";

/**
 * What an adapter makes of a tensor, in float64: `W + scale * left right`, row by row, then DoRA's magnitudes
 * (https://arxiv.org/abs/2402.09353, equation 5), from the definition and as plainly as it goes.
 */
export function patched(values: Float64Array, patches: readonly TensorPatch[] | undefined): Float64Array {
  const result = Float64Array.from(values);
  for (const patch of patches ?? []) {
    const { columns, from, to, rank, scale, replaces, left, right, magnitude } = patch;
    const [of, by] = [left && matrix(left, to - from, rank), matrix(right, rank, columns)];
    const at = (row: number, column: number) => row * columns + column;
    for (let row = from; row < to; row++) {
      for (let column = 0; column < columns; column++) {
        let sum = 0;
        for (let k = 0; k < rank; k++) {
          sum +=
            (of === undefined ? 1 : (of[(row - from) * rank + k] as number)) * (by[k * columns + column] as number);
        }
        result[at(row, column)] = replaces ? sum : (result[at(row, column)] as number) + scale * sum;
      }
    }
    if (magnitude === undefined) continue;
    const own = (row: number, column: number) => (magnitude.along === "rows" ? row - from : column);
    const lengths = matrix(magnitude.factor, 1, magnitude.along === "rows" ? to - from : columns);
    const squares = new Map<number, number>();
    for (let row = from; row < to; row++) {
      for (let column = 0; column < columns; column++) {
        const key = own(row, column);
        squares.set(key, (squares.get(key) ?? 0) + (result[at(row, column)] as number) ** 2);
      }
    }
    for (let row = from; row < to; row++) {
      for (let column = 0; column < columns; column++) {
        const key = own(row, column);
        const wanted = lengths[key] as number;
        result[at(row, column)] =
          ((result[at(row, column)] as number) * wanted) / Math.sqrt(squares.get(key) as number);
      }
    }
  }
  return result;
}

/** A factor as numbers, row by row. */
function matrix(
  { file, offset, dtype, rowStride, columnStride }: TensorFactor,
  rows: number,
  columns: number,
): Float64Array {
  const count = (rows - 1) * rowStride + (columns - 1) * columnStride + 1;
  const end = offset + count * DTYPE_BYTES[dtype];
  const stored = decode(new Uint8Array(readFileSync(file)).slice(offset, end), dtype as FloatDtype);
  return Float64Array.from({ length: rows * columns }, (_, i) => {
    return stored[Math.floor(i / columns) * rowStride + (i % columns) * columnStride] as number;
  });
}
