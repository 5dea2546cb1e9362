import type { FloatDtype } from "../../src/model/dtype.ts";
import { FORMATS, round, ulp } from "./dtype.ts";
import { type OracleOp, type OracleResult, oracle, worksInFloat64 } from "./methods.ts";

/**
 * How far an element may be from the oracle:
 *
 *     |ours - oracle| <= 0.5 ulp(output dtype) + (inputs + 12) · u · (sum of the absolute terms)
 *
 * with u = 2^-24 where the work is in float32, 2^-49 where it is in float64 (the oracle's own arithmetic is float64
 * too, and both add up sums over a whole tensor). The first part is the one rounding of the output; the second counts
 * each rounding of the work: per input a difference, a weight, a product and a sum; then the rescaling, the division,
 * lambda and the last sum.
 */
export function bound(op: OracleOp, terms: number, value: number): number {
  const unit = worksInFloat64(op) ? 2 ** -49 : 2 ** -24;
  return 0.5 * ulp(value, op.dtype) + (op.inputs.length + 12) * unit * terms;
}

export interface Disagreement {
  index: number;
  ours: number;
  oracle: number;
  bound: number;
}

/** The first element of `ours` that breaks the bound; undefined where all hold it. */
export function disagreement(
  ours: Float64Array,
  op: OracleOp,
  expected: OracleResult = oracle(op),
): Disagreement | undefined {
  if (ours.length !== op.count) throw new Error(`${ours.length} elements where ${op.count} are due`);
  for (let i = 0; i < op.count; i++) {
    const actual = ours[i] as number;
    const value = expected.values[i] as number;
    const limit = (candidate: number) => bound(op, expected.terms[i] as number, candidate);
    if (agrees(actual, value, limit(value), op.dtype)) continue;
    const alternative = expected.alternatives.get(i);
    if (alternative !== undefined && agrees(actual, alternative, limit(alternative), op.dtype)) continue;
    return { index: i, ours: actual, oracle: value, bound: limit(value) };
  }
  return undefined;
}

function agrees(ours: number, oracle: number, limit: number, dtype: FloatDtype): boolean {
  if (Number.isNaN(oracle)) return Number.isNaN(ours);
  if (Math.abs(ours - oracle) <= limit) return true;
  // Infinity agrees with infinity, and with what lies within the bound of rounding to it.
  if (!Number.isFinite(ours)) return round(oracle + Math.sign(ours) * limit, dtype) === ours;
  return (
    Math.abs(oracle) > 2 ** FORMATS[dtype].maxExponent && round(oracle - Math.sign(oracle) * limit, dtype) === ours
  );
}
