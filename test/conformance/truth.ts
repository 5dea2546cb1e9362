import { closeSync, openSync, readSync } from "node:fs";
import { DTYPE_BYTES, isFloat } from "../../src/model/dtype.ts";
import { elementCount, type TensorView } from "../../src/model/types.ts";
import type { MergeOp, MergePlan } from "../../src/plan/types.ts";
import { decode } from "../oracle/dtype.ts";
import { type OracleOp, type OracleResult, oracle } from "../oracle/methods.ts";
import { patched } from "../oracle/patch.ts";

/** An op of a plan with its inputs read and decoded; undefined where it moves integers. */
export function oracleOp(op: MergeOp, seed: number): OracleOp | undefined {
  if (!isFloat(op.dtype)) return undefined;
  return {
    kernel: op.kernel,
    params: op.params,
    inputs: op.inputs.map(({ view, position }) => {
      if (!isFloat(view.dtype)) throw new Error(`${op.tensor} averages ${view.dtype}`);
      return { values: patched(decode(readView(view), view.dtype), view.patches), dtype: view.dtype, stream: position };
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
