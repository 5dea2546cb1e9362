import type { OracleOp, OracleResult } from "./methods.ts";
import { dot, type Grouping, gather, groupsOf, isWide, norm, perpendicular, plus, scaled } from "./vectors.ts";

/*
 * The methods that go by the directions of whole vectors. Written on the vectors themselves, step by step as the papers
 * have it; native code works on the inner products alone.
 */

/** nuslerp: shorter vectors count as this long; vectors count as colinear where the sine of their angle is below this. */
const NUSLERP_NORM = 1e-7;
const NUSLERP_COLINEAR = 1e-8;
/** model_stock: a smaller product of two norms counts as this. */
const STOCK_PRODUCT = 1e-6;
/** Below this the differences' directions add up to nothing: model_stock stays at the base. */
const STOCK_CANCELLED = 1e-12;
/** The sine below which a direction is opposite, and no way to it is shorter than another: beyond rounding to float32. */
const OPPOSITE = 1e-6;

/** The merged elements of one vector, without the base. */
interface Merged {
  values: ArrayLike<number>;
  /**
   * Sum of the absolute values of what was added up to each element, and of how much each would move if the numbers that
   * it depends on did by their own size: rounding errors are proportional to it.
   */
  terms: ArrayLike<number>;
}

type MergeVectors = (vectors: readonly Float64Array[]) => Merged;

/** Merges vector by vector. With a base, the first input, the vectors are differences from it, and it is added. */
function overGroups(op: OracleOp, grouping: Grouping, withBase: boolean, merge: MergeVectors): OracleResult {
  const values = new Float64Array(op.count);
  const terms = new Float64Array(op.count);
  const inputs = op.inputs.map((input) => input.values);
  const base = withBase ? inputs[0] : undefined;
  for (const at of groupsOf(op, grouping)) {
    const merged = merge(inputs.slice(withBase ? 1 : 0).map((input) => gather(input, at, base)));
    at.forEach((index, i) => {
      const start = base === undefined ? 0 : (base[index] as number);
      values[index] = start + (merged.values[i] as number);
      terms[index] = Math.abs(start) + (merged.terms[i] as number);
    });
  }
  return { values, terms, alternatives: new Map(), contested: new Set() };
}

/** @param sensitivity how much each coefficient moves with what it was computed from, see `Merged`. */
function combination(
  vectors: readonly Float64Array[],
  coefficients: readonly number[],
  sensitivity: readonly number[] = [],
): Merged {
  const length = (vectors[0] as Float64Array).length;
  const values = new Float64Array(length);
  const terms = new Float64Array(length);
  vectors.forEach((vector, k) => {
    for (let i = 0; i < length; i++) {
      const term = (coefficients[k] as number) * (vector[i] as number);
      values[i] = k === 0 ? term : (values[i] as number) + term;
      const moved = (sensitivity[k] ?? 0) * (vector[i] as number);
      terms[i] = (terms[i] as number) + Math.abs(term) + Math.abs(moved);
    }
  });
  return { values, terms };
}

/** params: t, grouping. */
export function nuslerp(op: OracleOp): OracleResult {
  const [t, mode] = op.params as [number, 0 | 1 | 2];
  const grouping = (["whole", "last", "first"] as const)[mode];
  return overGroups(op, grouping, op.kernel === "nuslerp_base", (vectors) => {
    const [a, b] = vectors as [Float64Array, Float64Array];
    const { angle, sine } = angleBetween(a, b);
    if (sine < (angle > 1 ? OPPOSITE : NUSLERP_COLINEAR)) return combination(vectors, [1 - t, t]);
    const places = [1 - t, t];
    // The angle comes from a float64 cosine: its error grows as the sine falls.
    const angleError = 1 + (isWide(op) ? 1 : 2 ** -25) / sine;
    return combination(
      vectors,
      places.map((place) => Math.sin(place * angle) / sine),
      places.map((place) => angleError * arcDerivative(place, angle, sine)),
    );
  });
}

/** d/da (sin(place a) / sin(a)) */
function arcDerivative(place: number, angle: number, sine: number): number {
  return (place * Math.cos(place * angle) * sine - Math.sin(place * angle) * Math.cos(angle)) / sine ** 2;
}

function angleBetween(a: Float64Array, b: Float64Array): { angle: number; sine: number } {
  const [normA, normB] = [norm(a), norm(b)];
  const unitA = scaled(a, 1 / Math.max(normA, NUSLERP_NORM));
  const unitB = scaled(b, 1 / Math.max(normB, NUSLERP_NORM));
  const cosine = dot(unitA, unitB);
  if (normA < NUSLERP_NORM || normB < NUSLERP_NORM) {
    const angle = Math.acos(Math.min(Math.max(cosine, -1), 1));
    return { angle, sine: Math.sin(angle) };
  }
  const sine = norm(perpendicular(unitA, unitB));
  return { angle: Math.atan2(sine, cosine), sine };
}

/** params: normalize, eps, then the weights. */
export function multislerp(op: OracleOp): OracleResult {
  const [normalize, eps, ...given] = op.params as [number, number, ...number[]];
  const total = given.reduce((sum, weight) => sum + weight, 0);
  const weights = normalize ? given.map((weight) => weight / total) : given;
  return overGroups(op, "whole", op.kernel === "multislerp_base", (vectors) => {
    const norms = vectors.map(norm);
    const units = vectors.map((vector, k) => scaled(vector, 1 / ((norms[k] as number) + eps)));
    const mean = weighted(units, weights);
    const length = norm(mean.values);
    if (length < eps) return combination(vectors, weights);
    const centre = scaled(mean.values, 1 / length);
    const tangents = units.map((unit) => plus(unit, -dot(unit, centre), centre));
    const tangent = weighted(tangents, weights).values;
    const angle = norm(tangent);
    const direction = plus(scaled(centre, Math.cos(angle)), angle === 0 ? 0 : Math.sin(angle) / angle, tangent);
    const size = norms.reduce((sum, value, k) => sum + (weights[k] as number) * value, 0);
    return {
      values: scaled(direction, size),
      terms: mean.terms.map((term) => (Math.abs(size) * term) / length),
    };
  });
}

function weighted(vectors: readonly Float64Array[], weights: readonly number[]) {
  const { values, terms } = combination(vectors, weights);
  return { values: values as Float64Array, terms: terms as Float64Array };
}

/** params: most iterations, tolerance. */
export function karcher(op: OracleOp): OracleResult {
  const [iterations, tolerance] = op.params as [number, number];
  return overGroups(op, "whole", false, (vectors) => {
    const norms = vectors.map(norm);
    const size = norms.reduce((sum, value) => sum + value, 0) / vectors.length;
    const length = (vectors[0] as Float64Array).length;
    if (!Number.isFinite(size)) return uniform(length, Number.NaN);
    const units = vectors.flatMap((vector, k) => {
      const value = norms[k] as number;
      return value > tolerance ? [scaled(vector, 1 / value)] : [];
    });
    if (units.length === 0) return uniform(length, 0);
    let point = startOf(units, tolerance);
    // Near its opposite a direction counts many times over, and what is left after subtracting the point is small.
    let gain = 1;
    for (let step = 0; step < iterations; step++) {
      const next = moved(point, units, tolerance);
      if (next === undefined) break;
      point = next.point;
      gain = Math.max(gain, next.gain);
    }
    const terms = point.map((x, i) => units.reduce((sum, unit) => sum + Math.abs(unit[i] as number), Math.abs(x)));
    return { values: scaled(point, size), terms: scaled(terms, size * gain) };
  });
}

function uniform(length: number, value: number): Merged {
  return { values: new Float64Array(length).fill(value), terms: new Float64Array(length) };
}

/** The direction of the mean of the directions; the first of them where they cancel. */
function startOf(units: readonly Float64Array[], tolerance: number): Float64Array {
  const mean = weighted(
    units,
    units.map(() => 1 / units.length),
  ).values;
  const length = norm(mean);
  return length < tolerance ? (units[0] as Float64Array) : scaled(mean, 1 / length);
}

/**
 * One step along the mean of the logarithms at `point`; undefined where the step is shorter than the tolerance. `gain`:
 * the sum of the factors of the directions.
 */
function moved(point: Float64Array, units: readonly Float64Array[], tolerance: number) {
  let tangent: Float64Array = new Float64Array(point.length);
  let gain = 0;
  for (const unit of units) {
    const across = perpendicular(point, unit);
    const sine = norm(across);
    const angle = Math.atan2(sine, dot(point, unit));
    if (angle < tolerance || (sine < OPPOSITE && angle > 1)) continue;
    const factor = angle / sine / units.length;
    tangent = plus(tangent, factor, across);
    gain += factor;
  }
  const length = norm(tangent);
  if (length < tolerance || length === 0) return undefined;
  const next = plus(scaled(point, Math.cos(length)), Math.sin(length) / length, tangent);
  return { point: scaled(next, 1 / norm(next)), gain };
}

/** params: grouping. The base is the first input. */
export function modelStock(op: OracleOp): OracleResult {
  const grouping = op.params[0] === 1 ? "last" : "whole";
  return overGroups(op, grouping, true, (differences) => {
    const n = differences.length;
    const cosines: number[] = [];
    for (let i = 0; i < n; i++) {
      for (let j = i + 1; j < n; j++) {
        const [a, b] = [differences[i], differences[j]] as [Float64Array, Float64Array];
        const cosine = dot(a, b) / Math.max(norm(a) * norm(b), STOCK_PRODUCT);
        cosines.push(Math.min(Math.max(cosine, -1), 1));
      }
    }
    const cosine = cosines.reduce((sum, value) => sum + value, 0) / cosines.length;
    const divisor = 1 + (n - 1) * cosine;
    if (divisor < STOCK_CANCELLED) return uniform((differences[0] as Float64Array).length, 0);
    return combination(
      differences,
      differences.map(() => cosine / divisor),
      differences.map(() => 1 / divisor ** 2),
    );
  });
}
