import type { OracleOp, OracleResult } from "./methods.ts";
import { dot, groupsOf, isWide } from "./vectors.ts";

/** arcee_fusion: added to every probability. */
const LEAST_PROBABILITY = 1e-8;
/** Roundings of an importance and of the threshold, with room: the decision is open where they are this close. */
const CLOSE_F32 = 2 ** -20;
const CLOSE_F64 = 2 ** -36;

/** arcee_fusion: no params. The base is the first input, the other model the second. */
export function arceeFusion(op: OracleOp): OracleResult {
  const [base, other] = op.inputs.map((input) => input.values) as [Float64Array, Float64Array];
  const differences = other.map((x, i) => x - (base[i] as number));
  const importance = new Float64Array(op.count);
  for (const row of groupsOf(op, "last")) {
    const divergence = klDivergence(softmax(other, row), softmax(base, row));
    for (const i of row) importance[i] = Math.abs((differences[i] as number) * divergence);
  }
  const { threshold, scale } = thresholdOf(importance);
  const close = isWide(op) ? CLOSE_F64 : CLOSE_F32;
  const values = new Float64Array(op.count);
  const terms = new Float64Array(op.count);
  const alternatives = new Map<number, number>();
  for (let i = 0; i < op.count; i++) {
    const [start, difference, rank] = [base[i], differences[i], importance[i]] as [number, number, number];
    const kept = rank >= threshold;
    // Times the mask, as the formula says: NaN shows through it.
    values[i] = start + difference * (kept ? 1 : 0);
    terms[i] = Math.abs(start) + Math.abs(difference);
    const open = Math.abs(rank - threshold) <= close * (rank + scale);
    if (open) alternatives.set(i, start + difference * (kept ? 0 : 1));
  }
  return { values, terms, alternatives, contested: new Set() };
}

function softmax(values: Float64Array, row: Int32Array): Float64Array {
  const x = Float64Array.from(row, (i) => values[i] as number);
  const largest = x.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = x.map((value) => Math.exp(value - largest));
  const sum = dot(powers, new Float64Array(powers.length).fill(1));
  return powers.map((power) => power / sum + LEAST_PROBABILITY);
}

function klDivergence(p: Float64Array, q: Float64Array): number {
  return dot(
    p,
    p.map((x, i) => Math.log(x / (q[i] as number))),
  );
}

/** Median plus one and a half times the distance of the quartiles; and the size of what was added up. */
function thresholdOf(importance: Float64Array): { threshold: number; scale: number } {
  // A typed array sorts by value with NaN last.
  const sorted = importance.slice().sort();
  const quantile = (q: number) => sorted[Math.floor(q * (sorted.length - 1))] as number;
  const [first, median, third] = [quantile(0.25), quantile(0.5), quantile(0.75)];
  return { threshold: median + 1.5 * (third - first), scale: median + 1.5 * (third + first) };
}
