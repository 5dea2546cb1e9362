import { type FloatDtype, isFloat } from "../../src/model/dtype.ts";
import { ulp } from "../oracle/dtype.ts";
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

/** What a tensor should be, from a float64 computation. */
export interface Truth {
  values: Float64Array;
  /** Per element, the sum of the absolute terms: what its errors are measured by. */
  terms: Float64Array;
  /** Elements that are kept or dropped by the order among exactly equal magnitudes, which is arbitrary in the reference. */
  contested: ReadonlySet<number>;
}

/** Distances to the truth, for the report: the largest in ulps of the terms, and the L2 norm. */
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
  const distances = { ours: distance(a, truth, dtype), theirs: distance(b, truth, dtype) };
  const settled = (values: Float64Array) => values.filter((_, i) => !truth.contested.has(i));
  const fault = wide ? floatFault(settled(a), settled(b)) : roundedFault(settled(a), settled(b), settled(truth.values));
  return { fault: fault ?? roundingFault(a, truth.values, dtype, truth.contested), ...distances };
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

/** For elements that the reference does not decide: no farther from the truth than one rounding takes. */
export function roundingFault(
  ours: Float64Array,
  truth: Float64Array,
  dtype: FloatDtype,
  elements: Iterable<number> = ours.keys(),
): string | undefined {
  for (const i of elements) {
    const [a, t] = [ours[i] as number, truth[i] as number];
    const bound = 0.5 * ulp(t, dtype) + 1e-6 * Math.abs(t) + 1e-7;
    if (!(Math.abs(a - t) <= bound || Object.is(a, t))) return `element ${i} is ${a}, should be ${t}`;
  }
  return undefined;
}

function distance(values: Float64Array, { values: truth, terms }: Truth, dtype: FloatDtype): Distance {
  let ulps = 0;
  for (let i = 0; i < values.length; i++) {
    const error = Math.abs((values[i] as number) - (truth[i] as number)) / ulp(terms[i] as number, dtype);
    if (error > ulps) ulps = error;
  }
  return { ulps, l2: l2(values, truth) };
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
