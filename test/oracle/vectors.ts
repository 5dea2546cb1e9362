import type { OracleOp } from "./methods.ts";

/** What a tensor is split into: itself, the vectors along its last dimension, or those along its first. */
export type Grouping = "whole" | "last" | "first";

/** True where native code works in float64: the output or an input is. */
export function isWide(op: OracleOp): boolean {
  return op.dtype === "F64" || op.inputs.some((input) => input.dtype === "F64");
}

/** The element indices of every vector, in order. */
export function groupsOf(op: OracleOp, grouping: Grouping): Int32Array[] {
  const { count, rows = count, columns = count } = op;
  if (count === 0) return [];
  if (grouping === "whole") return [indices(0, 1, count)];
  if (grouping === "last") {
    return Array.from({ length: count / columns }, (_, row) => indices(row * columns, 1, columns));
  }
  const inner = count / rows;
  return Array.from({ length: inner }, (_, position) => indices(position, inner, rows));
}

function indices(start: number, stride: number, length: number): Int32Array {
  return Int32Array.from({ length }, (_, i) => start + i * stride);
}

/** The elements at these indices; as differences from `base` where there is one. */
export function gather(values: Float64Array, at: Int32Array, base?: Float64Array): Float64Array {
  const vector = new Float64Array(at.length);
  at.forEach((from, i) => {
    vector[i] = (values[from] as number) - (base === undefined ? 0 : (base[from] as number));
  });
  return vector;
}

/**
 * The inner product as if computed in twice the precision and rounded once: T. Ogita, S. Rump, S. Oishi, "Accurate sum
 * and dot product", SIAM J. Sci. Comput. 26 (2005), algorithm Dot2.
 */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  let lost = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    const product = x * y;
    const next = sum + product;
    const part = next - sum;
    lost += sum - (next - part) + (product - part) + productError(x, y, product);
    sum = next;
  }
  // Beyond infinity the compensation is NaN; the plain sum is the answer there.
  return Number.isFinite(sum) ? sum + lost : sum;
}

/** x * y - product, exactly: Dekker's product of numbers split into halves of 26 bits. */
function productError(x: number, y: number, product: number): number {
  const xHigh = upperHalf(x);
  const yHigh = upperHalf(y);
  const xLow = x - xHigh;
  const yLow = y - yHigh;
  return xLow * yLow - (product - xHigh * yHigh - xLow * yHigh - xHigh * yLow);
}

function upperHalf(x: number): number {
  const scaled = (2 ** 27 + 1) * x;
  return scaled - (scaled - x);
}

export function norm(a: ArrayLike<number>): number {
  return Math.sqrt(dot(a, a));
}

export function scaled(a: Float64Array, factor: number): Float64Array {
  return a.map((x) => x * factor);
}

/** a + factor b */
export function plus(a: Float64Array, factor: number, b: Float64Array): Float64Array {
  return a.map((x, i) => x + factor * (b[i] as number));
}

/** The part of `b` that is perpendicular to the unit vector `a`, measured twice so that little of `a` is left in it. */
export function perpendicular(a: Float64Array, b: Float64Array): Float64Array {
  const once = plus(b, -dot(a, b), a);
  return plus(once, -dot(a, once), a);
}
