import type { OracleOp, OracleResult } from "./methods.ts";
import { selectLargest } from "./select.ts";
import { dot, isWide } from "./vectors.ts";

/*
 * Methods that decide element by element, after counting or ranking over the tensor. What is compared with a threshold
 * is compared in the precision of the work, as the kernels' headers define it; everything else is float64.
 */

/** sce: mean squares below this in sum weigh all models alike; a smaller divisor counts as this. */
const SMALL_SUM = 1e-6;
/** nearswap: smaller distances count as this. */
const NEAR = 1e-6;
/** A vote is close when the sum of the differences is this small a part of the sum of their magnitudes. */
const CLOSE_VOTE = 2 ** -21;

/** Rounds to the precision of the work: float64 where the output or an input is. */
function workOf(op: OracleOp): (x: number) => number {
  return isWide(op) ? (x) => x : Math.fround;
}

function emptyResult(count: number) {
  return {
    values: new Float64Array(count),
    terms: new Float64Array(count),
    alternatives: new Map<number, number>(),
    contested: new Set<number>(),
  };
}

/** The base, and each model's differences from it. */
function differencesOf(op: OracleOp): { base: Float64Array; differences: Float64Array[] } {
  const [base, ...models] = op.inputs.map((input) => input.values) as [Float64Array, ...Float64Array[]];
  return { base, differences: models.map((model) => model.map((x, i) => x - (base[i] as number))) };
}

/** params: the share of elements that is selected. */
export function sce(op: OracleOp): OracleResult {
  const { base, differences: all } = differencesOf(op);
  const { mask, contested } = selectedBySpread(op);
  const differences = all.map((list) => list.map((d, i) => d * (mask[i] as number)));
  const squares = differences.map((list) => dot(list, list) / op.count);
  const total = squares.reduce((sum, square) => sum + square, 0);
  const weights = squares.map((square) => (total < SMALL_SUM ? 1 / squares.length : square / total));
  const result = { ...emptyResult(op.count), contested };
  for (let i = 0; i < op.count; i++) {
    const ours = differences.map((list) => list[i] as number);
    const vote = ours.reduce((sum, d) => sum + d, 0);
    const finish = (sign: number) => (base[i] as number) + agreed(ours, weights, sign);
    result.values[i] = finish(vote >= 0 ? 1 : -1);
    const magnitude = ours.reduce((sum, d) => sum + Math.abs(d), 0);
    result.terms[i] = Math.abs(base[i] as number) + magnitude;
    if (magnitude > 0 && Math.abs(vote) <= CLOSE_VOTE * magnitude)
      result.alternatives.set(i, finish(vote >= 0 ? -1 : 1));
  }
  return result;
}

/** The average of the differences that have the elected sign. */
function agreed(differences: readonly number[], weights: readonly number[], sign: number): number {
  let mixed = 0;
  let divisor = 0;
  differences.forEach((d, m) => {
    const counts = d * sign > 0 ? (weights[m] as number) : 0;
    mixed += d * counts;
    divisor += counts;
  });
  return mixed / Math.max(divisor, SMALL_SUM);
}

/** Which elements the share of largest variances is; and those whose variance equals one that was left out. */
function selectedBySpread(op: OracleOp): { mask: Uint8Array; contested: Set<number> } {
  const share = op.params[0] as number;
  if (share >= 1) return { mask: new Uint8Array(op.count).fill(1), contested: new Set() };
  const spreads = Float64Array.from({ length: op.count }, (_, i) => spread(op, i));
  const nonZero = spreads.reduce((sum, x) => sum + (x === 0 ? 0 : 1), 0);
  const { mask, contested } = selectLargest(spreads, share <= 0 ? 0 : Math.trunc(share * nonZero));
  const equals = [...spreads.keys()].filter((i) => contested !== undefined && Object.is(spreads[i], contested));
  return { mask, contested: new Set(equals) };
}

/** The variance over the models as sum_{i<j} (x_i - x_j)^2 / n^2, every step rounded to the precision of the work. */
export function spread(op: OracleOp, at: number): number {
  const work = workOf(op);
  const x = op.inputs.slice(1).map((input) => input.values[at] as number);
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    for (let j = i + 1; j < x.length; j++) {
      const difference = work((x[i] as number) - (x[j] as number));
      sum = work(sum + work(difference * difference));
    }
  }
  return work(sum / (x.length * x.length));
}

/** ram: params: epsilon. ramplus_tl: epsilon, r, alpha. */
export function ram(op: OracleOp): OracleResult {
  const work = workOf(op);
  const [epsilon, r = 0, alpha = 0] = op.params as [number, number?, number?];
  const { base, differences } = differencesOf(op);
  const changed = differences.map((list) => Uint8Array.from(list, (d) => (work(Math.abs(d)) > work(epsilon) ? 1 : 0)));
  const counts = Array.from({ length: op.count }, (_, i) =>
    changed.reduce((sum, mask) => sum + (mask[i] as number), 0),
  );
  const gains = changed.map((mask) => {
    const shared = counts.filter((n, i) => n > 1 && mask[i] === 1).length;
    const unique = counts.filter((n, i) => n === 1 && mask[i] === 1).length;
    return 1 + r * Math.min(Math.max(shared / Math.max(unique, epsilon), 0), alpha);
  });
  const result = emptyResult(op.count);
  for (let i = 0; i < op.count; i++) {
    const n = counts[i] as number;
    let sum = 0;
    let magnitude = 0;
    differences.forEach((list, m) => {
      const gain = n > 1 ? 1 / n : (gains[m] as number);
      // Times the mask, as the formula says: NaN shows through it.
      const term = (list[i] as number) * (changed[m]?.[i] as number) * gain;
      sum += term;
      magnitude += Math.abs(term);
    });
    result.values[i] = (base[i] as number) + sum;
    result.terms[i] = Math.abs(base[i] as number) + magnitude;
  }
  return result;
}

/** params: t. */
export function nearswap(op: OracleOp): OracleResult {
  const t = op.params[0] as number;
  const [base, other] = op.inputs.map((input) => input.values) as [Float64Array, Float64Array];
  const result = emptyResult(op.count);
  for (let i = 0; i < op.count; i++) {
    const [a, b] = [base[i] as number, other[i] as number];
    const share = Math.min(Math.max(t / Math.max(Math.abs(a - b), NEAR), 0), 1);
    result.values[i] = share * b + (1 - share) * a;
    result.terms[i] = Math.abs(share * b) + Math.abs(share * a) + Math.abs(a);
  }
  return result;
}
