import { expect } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { disagreement } from "../oracle/agreement.ts";
import { decode } from "../oracle/dtype.ts";
import { forOracle, type Outcome, runOps, type WorkOp } from "./workbench.ts";

/** Runs all, and holds every element against the float64 oracle. The failure says which op it is. */
export async function expectOracle(ops: readonly WorkOp[]): Promise<void> {
  const outcomes = await runOps(ops);
  for (const [i, op] of ops.entries()) {
    const expected = forOracle(op);
    const wrong = disagreement(decode((outcomes[i] as Outcome).bytes, expected.dtype), expected);
    const { kernel, params, rows, columns, count, dtype } = op;
    if (wrong !== undefined) expect({ kernel, params, rows, columns, count, dtype, wrong }).toBeUndefined();
  }
}

/** Runs all, and decodes their outputs. */
export async function outputsOf(ops: readonly WorkOp[]): Promise<Float64Array[]> {
  const outcomes = await runOps(ops);
  return outcomes.map(({ bytes }, i) => decode(bytes, ops[i]?.dtype as FloatDtype));
}
