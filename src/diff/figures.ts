import type { BaseDifference, Difference } from "./types.ts";

/** What `Addon.difference` gives for one tensor, and what it is about. */
export interface TensorSums {
  elements: number;
  /** Laid out as src/native.ts says. */
  sums: Float64Array;
  withBase: boolean;
}

/** Sums and counts before those of the thresholds, and those of a base. */
const FIRST = 7;
const OF_BASE = 9;

/**
 * From the sums of tensors to norms, cosines and shares of all of them together.
 * @param thresholds those that the sums were taken with.
 */
export function differenceOf(tensors: readonly TensorSums[], thresholds: readonly number[]): Difference {
  const sums = added(tensors.map((tensor) => tensor.sums.subarray(0, FIRST + thresholds.length)));
  const at = (index: number) => sums[index] ?? 0;
  const elements = tensors.reduce((sum, tensor) => sum + tensor.elements, 0);
  const based = tensors.filter(({ withBase }) => withBase);
  return {
    tensors: tensors.length,
    elements,
    leftNorm: Math.sqrt(at(0)),
    rightNorm: Math.sqrt(at(1)),
    norm: Math.sqrt(at(3)),
    relative: quotient(Math.sqrt(at(3)), Math.sqrt(at(0))),
    cosine: cosine(at(2), at(0), at(1)),
    largest: tensors.reduce((largest, tensor) => Math.max(largest, tensor.sums.at(-1) ?? 0), 0),
    density: [0, ...thresholds].map((above, i) => ({
      above,
      share: elements === 0 ? 0 : at(i === 0 ? 4 : FIRST + i - 1) / elements,
    })),
    nonFinite: { left: at(5), right: at(6) },
    ...(based.length === 0 ? {} : { base: baseDifference(based, FIRST + thresholds.length) }),
  };
}

function baseDifference(tensors: readonly TensorSums[], first: number): BaseDifference {
  const sums = added(tensors.map((tensor) => tensor.sums.subarray(first, first + OF_BASE)));
  const at = (index: number) => sums[index] ?? 0;
  return {
    tensors: tensors.length,
    elements: tensors.reduce((sum, tensor) => sum + tensor.elements, 0),
    norm: Math.sqrt(at(0)),
    leftChange: Math.sqrt(at(1)),
    rightChange: Math.sqrt(at(2)),
    cosine: cosine(at(3), at(1), at(2)),
    signConflicts: quotient(at(8), at(7)),
    nonFinite: at(4),
  };
}

function added(lists: readonly Float64Array[]): Float64Array {
  const sums = new Float64Array(lists[0]?.length ?? 0);
  for (const list of lists) {
    list.forEach((value, i) => {
      sums[i] = (sums[i] as number) + value;
    });
  }
  return sums;
}

function quotient(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}

/** Rounding may carry the quotient past 1. */
function cosine(product: number, squaresA: number, squaresB: number): number | null {
  const value = quotient(product, Math.sqrt(squaresA) * Math.sqrt(squaresB));
  return value === null ? null : Math.min(1, Math.max(-1, value));
}
