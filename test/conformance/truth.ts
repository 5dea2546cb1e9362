import { closeSync, openSync, readSync } from "node:fs";
import { DTYPE_BYTES, isFloat } from "../../src/model/dtype.ts";
import { elementCount, type TensorView } from "../../src/model/types.ts";
import type { MergeOp, MergePlan, RowGather } from "../../src/plan/types.ts";
import { decode } from "../oracle/dtype.ts";
import { type OracleOp, type OracleResult, oracle } from "../oracle/methods.ts";
import { patched } from "../oracle/patch.ts";

/** An op of a plan with its inputs read and decoded; undefined where it moves integers. */
export function oracleOp(op: MergeOp, seed: number): OracleOp | undefined {
  if (!isFloat(op.dtype)) return undefined;
  return {
    kernel: op.kernel,
    params: op.params,
    inputs: op.inputs.map(({ view, position, gather }) => {
      if (!isFloat(view.dtype)) throw new Error(`${op.tensor} averages ${view.dtype}`);
      const values = gather === undefined ? patched(readFloats(view), view.patches) : readGathered(gather);
      return { values, dtype: view.dtype, stream: position };
    }),
    dtype: op.dtype,
    count: elementCount(op.shape),
    rows: op.shape[0] ?? 1,
    columns: op.shape.at(-1) ?? 1,
    seed,
    tensor: op.randomAs ?? op.tensor,
  };
}

/** What a float64 computation of the plan's op gives. */
export function truthOf(plan: MergePlan, tensor: string): OracleResult | undefined {
  const op = plan.ops.find((candidate) => candidate.tensor === tensor);
  const described = op && oracleOp(op, plan.seed);
  return described && oracle(described);
}

/** The rows that a gather names, one after the other. */
function readGathered({ pieces, rows, mixes }: RowGather): Float64Array {
  const matrix = pieces.flatMap(({ view }) => rowsOf(readFloats(view), view.shape[0] ?? 0));
  const width = matrix[0]?.length ?? 0;
  const known = [...rows].map((code) => {
    if (code >= 0) return matrix[code] as Float64Array;
    if (code === -1) return new Float64Array(width);
    if (code === -2) return undefined;
    const first = -3 - code;
    return meanOf(
      [...mixes.subarray(first + 1, first + 1 + (mixes[first] as number))].map((row) => matrix[row] as Float64Array),
    );
  });
  const mean = meanOf(known.filter((row) => row !== undefined));
  return Float64Array.from(known.flatMap((row) => [...(row ?? mean)]));
}

export function rowsOf(values: Float64Array, count: number): Float64Array[] {
  const width = values.length / count;
  return Array.from({ length: count }, (_, row) => values.subarray(row * width, (row + 1) * width));
}

export function meanOf(rows: readonly Float64Array[]): Float64Array {
  return (rows[0] ?? new Float64Array()).map(
    (_, i) => rows.reduce((sum, row) => sum + (row[i] as number), 0) / rows.length,
  );
}

function readFloats(view: TensorView): Float64Array {
  if (!isFloat(view.dtype)) throw new Error(`${view.dtype} holds no floats`);
  return decode(readView(view), view.dtype);
}

export function readView({ file, offset, dtype, shape }: TensorView): Uint8Array {
  const bytes = new Uint8Array(elementCount(shape) * DTYPE_BYTES[dtype]);
  const fd = openSync(file, "r");
  try {
    const read = readSync(fd, bytes, 0, bytes.length, offset);
    if (read !== bytes.length) throw new Error(`${file} ends inside a tensor`);
  } finally {
    closeSync(fd);
  }
  return bytes;
}
