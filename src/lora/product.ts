import { moved } from "../model/patch.ts";
import { elementCount, type TensorFactor, type TensorPatch, type TensorView } from "../model/types.ts";
import type { AdapterModule, StoredFactor } from "./types.ts";

/** The factors of one module as matrices: A is [rank, inputs], B is [outputs, rank]. */
export interface Factors {
  a: StoredFactor;
  b: StoredFactor;
  rank: number;
  inputs: number;
  outputs: number;
}

/** @returns undefined where A and B do not belong together. */
export function factorsOfModule({ a, b }: AdapterModule): Factors | undefined {
  if (a === undefined || b === undefined) return undefined;
  const rank = a.view.shape[0] ?? 0;
  const outputs = b.view.shape[0] ?? 0;
  const inputs = elementCount(a.view.shape) / rank;
  if (rank === 0 || outputs === 0 || elementCount(b.view.shape) !== outputs * rank) return undefined;
  return { a, b, rank, inputs, outputs };
}

/** How a weight stores what a module computes: as [outputs, inputs], or the other way round. */
export type Orientation = "straight" | "transposed";

/** The ways in which a product fits a shape. A square one fits both ways. */
export function orientations({ inputs, outputs }: Factors, shape: readonly number[]): Orientation[] {
  const rows = shape[0] ?? 1;
  const columns = elementCount(shape) / rows;
  const fits: Orientation[] = [];
  if (rows === outputs && columns === inputs) fits.push("straight");
  if (rows === inputs && columns === outputs) fits.push("transposed");
  return fits;
}

/** Where a product goes: rows of the tensor from `from` on. */
export interface Destination {
  from: number;
  orientation: Orientation;
  scale: number;
  magnitude: StoredFactor | undefined;
}

/** The change `scale B A`, or its transpose, as a patch. DoRA's magnitude has a number for each output. */
export function productPatch(factors: Factors, { from, orientation, scale, magnitude }: Destination): TensorPatch {
  const { a, b, rank, inputs, outputs } = factors;
  const straight = orientation === "straight";
  const [rows, columns] = straight ? [outputs, inputs] : [inputs, outputs];
  return {
    columns,
    from,
    to: from + rows,
    rank,
    scale,
    replaces: false,
    left: straight ? factor(b, rank, 1) : factor(a, 1, inputs),
    right: straight ? factor(a, inputs, 1) : factor(b, 1, rank),
    magnitude: magnitude && { factor: factor(magnitude, 0, 1), along: straight ? "rows" : "columns" },
  };
}

/** Some of the outputs of a module, where the weights that it fuses are stored apart. */
export function someOutputs(factors: Factors, from: number, to: number): Factors {
  const { b, rank } = factors;
  const view: TensorView = {
    ...b.view,
    offset: moved(factor(b, rank, 1), from * rank).offset,
    shape: [to - from, rank],
  };
  return { ...factors, b: { ...b, view }, outputs: to - from };
}

/** A vector that is added: the trained bias of a low-rank layer. */
export function addedVector(vector: StoredFactor, scale: number): TensorPatch {
  const columns = elementCount(vector.view.shape);
  const right = factor(vector, columns, 1);
  return { columns, from: 0, to: 1, rank: 1, scale, replaces: false, left: undefined, right };
}

/** Rows that an adapter holds itself, each in its own place. */
export function replacedRows(rows: StoredFactor, places: readonly number[]): TensorPatch[] {
  const columns = rows.view.shape.at(-1) ?? 1;
  return places.map((place, i) => ({
    columns,
    from: place,
    to: place + 1,
    rank: 1,
    scale: 1,
    replaces: true,
    left: undefined,
    right: moved(factor(rows, columns, 1), i * columns),
  }));
}

export function factor({ tensor, view }: StoredFactor, rowStride: number, columnStride: number): TensorFactor {
  return { tensor, file: view.file, offset: view.offset, dtype: view.dtype, rowStride, columnStride };
}
