import { type FloatDtype, isFloat } from "../../src/model/dtype.ts";
import { ulp } from "../oracle/dtype.ts";
import type { OracleResult } from "../oracle/methods.ts";
import type { StoredTensor } from "../support/safetensors.ts";
import { valuesOf } from "./kit.ts";

/** Float32: how far an element may be from the reference's, and how many may be farther (masks at near ties). */
const ABSOLUTE = 1e-6;
const RELATIVE = 1e-5;
const STRAY_SHARE = 0.005;

/** Where the reference itself is farther from the oracle than this, the oracle computed something else. */
const SAME_QUANTITY = 0.03;

/** Rounding from float32 instead of from the truth itself moves a few halfway cases, and the L2 norm by less than this. */
const HALFWAY = 1 + 1e-4;

/**
 * What a tensor should be, from a float64 computation. Two kinds of elements it does not settle: contested ones, that
 * are kept or dropped by the order among equal magnitudes, which is arbitrary in the reference; and close votes on a
 * sign (0.7 x 4 against 0.4 x 7), which rounding decides.
 */
export type Truth = OracleResult;

/** Distances to the truth where it is settled, for the report: the largest in ulps of the terms, and the L2 norm. */
export interface Distance {
  ulps: number;
  l2: number;
}

export interface Comparison {
  /** Why the tensors disagree; undefined where they agree. */
  fault: string | undefined;
  ours?: Distance | undefined;
  theirs?: Distance | undefined;
}

/**
 * Compares one tensor of the same dtype and shape by the kit's rules. Contested elements must equal the truth.
 * @param truth without it, 16-bit floats must have the same bytes.
 */
export function compareTensor(ours: StoredTensor, theirs: StoredTensor, truth: Truth | undefined): Comparison {
  const same = Buffer.compare(ours.bytes, theirs.bytes) === 0;
  const dtype = ours.dtype;
  const wide = dtype === "F32" || dtype === "F64";
  if (!isFloat(dtype) || (truth === undefined && !wide)) return { fault: same ? undefined : "not the same bytes" };
  const [a, b] = [valuesOf(ours), valuesOf(theirs)];
  if (truth === undefined) return { fault: floatFault(a, b) };
  const close = new Set([...truth.contested, ...truth.alternatives.keys()]);
  const distances = { ours: distance(a, truth, dtype, close), theirs: distance(b, truth, dtype, close) };
  // The reference calls close votes as we do where both work in float32.
  const open = wide ? truth.contested : close;
  const settled = (values: Float64Array) => values.filter((_, i) => !open.has(i));
  const fault = wide ? floatFault(settled(a), settled(b)) : roundedFault(settled(a), settled(b), settled(truth.values));
  return { fault: fault ?? roundingFault(a, truth, dtype, open), ...distances };
}

function floatFault(ours: Float64Array, theirs: Float64Array): string | undefined {
  let stray = 0;
  let worst = 0;
  for (let i = 0; i < ours.length; i++) {
    const [a, b] = [ours[i] as number, theirs[i] as number];
    if (Object.is(a, b) || a === b) continue;
    const excess = Math.abs(a - b) / (ABSOLUTE + RELATIVE * Math.abs(b));
    if (excess <= 1) continue;
    stray++;
    worst = Math.max(worst, Number.isNaN(excess) ? Number.POSITIVE_INFINITY : excess);
  }
  if (stray <= STRAY_SHARE * ours.length) return undefined;
  return `${stray} of ${ours.length} elements beyond the tolerance, the worst by a factor of ${worst.toPrecision(3)}`;
}

/** 16-bit floats: at least as close to the truth as the reference, which must be near it. */
function roundedFault(ours: Float64Array, theirs: Float64Array, truth: Float64Array): string | undefined {
  for (let i = 0; i < truth.length; i++) {
    const [a, t] = [ours[i] as number, truth[i] as number];
    if (Number.isNaN(a) !== Number.isNaN(t)) return `element ${i} is ${a}, should be ${t}`;
  }
  const ourError = l2(ours, truth);
  const theirError = l2(theirs, truth);
  const norm = l2(truth, new Float64Array(truth.length));
  if (theirError > SAME_QUANTITY * norm) {
    return `the reference is ${(theirError / norm).toPrecision(2)} from the oracle (relative L2): not the same quantity`;
  }
  if (ourError <= theirError * HALFWAY) return undefined;
  return `L2 distance to the truth ${ourError.toPrecision(5)}, the reference's is ${theirError.toPrecision(5)}`;
}

/** Where the reference's answer does not help: no farther from the truth than one rounding takes. */
export function roundingFault(
  ours: Float64Array,
  { values, alternatives }: Pick<Truth, "values" | "alternatives">,
  dtype: FloatDtype,
  elements: Iterable<number> = ours.keys(),
): string | undefined {
  for (const i of elements) {
    const [a, t] = [ours[i] as number, values[i] as number];
    if (isRounded(a, t, dtype) || isRounded(a, alternatives.get(i) ?? t, dtype)) continue;
    return `element ${i} is ${a}, should be ${t}`;
  }
  return undefined;
}

function isRounded(ours: number, truth: number, dtype: FloatDtype): boolean {
  const bound = 0.5 * ulp(truth, dtype) + 1e-6 * Math.abs(truth) + 1e-7;
  return Math.abs(ours - truth) <= bound || Object.is(ours, truth);
}

function distance(values: Float64Array, truth: Truth, dtype: FloatDtype, without: ReadonlySet<number>): Distance {
  let ulps = 0;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    const error = Math.abs((values[i] as number) - (truth.values[i] as number));
    if (without.has(i) || !Number.isFinite(error)) continue;
    ulps = Math.max(ulps, error / ulp(truth.terms[i] as number, dtype));
    squares += error ** 2;
  }
  return { ulps, l2: Math.sqrt(squares) };
}

/** Over the elements where both are finite. */
function l2(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (Number.isFinite(difference)) sum += difference ** 2;
  }
  return Math.sqrt(sum);
}
