import {
  cholesky,
  dot,
  eigenvectors,
  leastSquares,
  mean,
  multiply,
  polar,
  type Rows,
  solve,
  subtract,
  transpose,
} from "./linear.ts";
import { philox, randomKey } from "./philox.ts";

/** What two models have in common, and the donor's rows to carry over. */
export interface Landmarks {
  /** Rows of the same tokens. */
  donor: Rows;
  original: Rows;
  targets: Rows;
}

/** A target as a sum of points. */
export interface Terms {
  points: number[];
  weights: Float64Array;
}

/** Orthogonal matching pursuit by brute force: Y. Pati et al., 1993. Among equals the first point. */
export function pursue(target: Float64Array, points: Rows, k: number): Terms {
  const chosen: number[] = [];
  let weights = new Float64Array(0);
  let rest = target;
  while (chosen.length < k) {
    const products = points.map((point, i) => (chosen.includes(i) ? -1 : Math.abs(dot(rest, point))));
    chosen.push(products.indexOf(Math.max(...products)));
    const atoms = chosen.map((i) => points[i] as Float64Array);
    weights = leastSquares(target, atoms) as Float64Array<ArrayBuffer>;
    rest = atoms.reduce(
      (left, atom, j) => left.map((x, i) => x - (weights[j] as number) * (atom[i] as number)),
      target,
    );
  }
  return { points: chosen, weights };
}

export function neighbours(
  target: Float64Array,
  points: Rows,
  k: number,
  { cosine, scheme }: { cosine: boolean; scheme: string },
): Terms {
  const norm = (x: Float64Array) => Math.sqrt(dot(x, x));
  const distances = points.map((point) =>
    cosine
      ? 1 - dot(target, point) / Math.max(norm(target) * norm(point), 1e-6)
      : norm(point.map((value, i) => value - (target[i] as number))),
  );
  const nearest = distances
    .map((distance, i) => ({ distance, i }))
    .sort((a, b) => a.distance - b.distance || a.i - b.i)
    .slice(0, k);
  const chosen = nearest.map(({ i }) => i);
  const atoms = chosen.map((i) => points[i] as Float64Array);
  if (scheme === "least_squares") return { points: chosen, weights: leastSquares(target, atoms) };
  if (scheme === "barycentric") return { points: chosen, weights: barycentric(target, atoms) };
  const raw = nearest.map(({ distance }) => (cosine ? 1 - distance : 1 / Math.max(distance, 1e-6)));
  const sum = raw.reduce((total, value) => total + value, 0);
  return { points: chosen, weights: Float64Array.from(raw, (value) => (sum > 1e-6 ? value / sum : 1 / k)) };
}

/** The last weight is what the others leave of 1: an unconditional problem of differences to the last point. */
function barycentric(target: Float64Array, atoms: Rows): Float64Array {
  const last = atoms.at(-1) as Float64Array;
  const from = (x: Float64Array) => x.map((value, i) => value - (last[i] as number));
  if (atoms.length === 1) return Float64Array.of(1);
  const others = leastSquares(from(target), atoms.slice(0, -1).map(from));
  return Float64Array.from([...others, 1 - others.reduce((sum, value) => sum + value, 0)]);
}

export function combine({ points, weights }: Terms, rows: Rows): Float64Array {
  const sum = new Float64Array(rows[0]?.length ?? 0);
  points.forEach((point, j) => {
    rows[point]?.forEach((value, i) => {
      sum[i] = (sum[i] as number) + (weights[j] as number) * value;
    });
  });
  return sum;
}

/** Orthogonal Procrustes between centred landmarks, in the narrower side's number of directions. */
export function rotate({ donor, original, targets }: Landmarks): Float64Array[] {
  const [from, to] = [mean(donor), mean(original)];
  const [a, b] = [subtract(donor, from), subtract(original, to)];
  const width = Math.min(from.length, to.length);
  // Directions of largest variance, as rows; all of them where no side is wider.
  const directions = (rows: Rows) => eigenvectors(multiply(transpose(rows), rows)).slice(0, width);
  const [va, vb] = [directions(a), directions(b)];
  const project = (rows: Rows, onto: Rows) => multiply(rows, transpose(onto));
  const rotation = polar(multiply(transpose(project(a, va)), project(b, vb)));
  const turned = multiply(multiply(project(subtract(targets, from), va), rotation), vb);
  return turned.map((row) => row.map((value, i) => value + (to[i] as number)));
}

/** Bases of sparse combinations. @param all every row of each side, for the means. */
export function throughBasis(
  { donor, original, targets }: Landmarks,
  k: number,
  all: { donor: Rows; original: Rows },
): Float64Array[] {
  const narrow = (donor[0] as Float64Array).length < (original[0] as Float64Array).length ? donor : original;
  const centred = subtract(narrow, mean(narrow));
  const terms = eigenvectors(multiply(transpose(centred), centred)).map((axis) => pursue(axis, centred, k));
  const [d, o] = [terms.map((one) => combine(one, donor)), terms.map((one) => combine(one, original))];
  const x = subtract(targets, mean(all.donor));
  // Coefficients c with c D closest to x: c = x D^T (D D^T)^-1.
  const gram = multiply(d, transpose(d));
  const coefficients = transpose(solve(gram, transpose(multiply(x, transpose(d)))));
  const to = mean(all.original);
  return multiply(coefficients, o).map((row) => row.map((value, i) => value + (to[i] as number)));
}

export interface RotaryHeads {
  heads: number;
  base: number;
}

export function turn(x: Float64Array, { heads, base }: RotaryHeads, position: number): Float64Array {
  const head = x.length / heads;
  const half = head / 2;
  return x.map((value, i) => {
    const within = i % head;
    const angle = position * base ** (-(2 * (within % half)) / head);
    const partner = (within < half ? -(x[i + half] as number) : x[i - half]) as number;
    return value * Math.cos(angle) + partner * Math.sin(angle);
  });
}

function positionBetween(from: Float64Array, to: Float64Array, { heads, base }: RotaryHeads): number {
  const head = from.length / heads;
  const half = head / 2;
  let [projection, squares] = [0, 0];
  for (let h = 0; h < heads; h++) {
    for (let i = 0; i < half; i++) {
      const [a, b] = [from[h * head + i] as number, from[h * head + half + i] as number];
      const [c, d] = [to[h * head + i] as number, to[h * head + half + i] as number];
      const frequency = base ** ((-2 * i) / head);
      projection += Math.atan2(a * d - b * c, a * c + b * d) * frequency;
      squares += frequency ** 2;
    }
  }
  return projection / squares;
}

/** Matching pursuit with turned points, and the turned terms in the original's space. */
export function pursueTurned(
  target: Float64Array,
  donor: Rows,
  original: Rows,
  k: number,
  rotary: { donor: RotaryHeads; original: RotaryHeads },
): Float64Array {
  const chosen: number[] = [];
  const positions: number[] = [];
  let rest = target;
  while (chosen.length < k) {
    const products = donor.map((point, i) => (chosen.includes(i) ? -1 : Math.abs(dot(rest, point))));
    const next = products.indexOf(Math.max(...products));
    const point = donor[next] as Float64Array;
    const along = positionBetween(point, rest, rotary.donor);
    const against = positionBetween(
      point,
      rest.map((value) => -value),
      rotary.donor,
    );
    const position = Math.abs(along) < Math.abs(against) ? along : against;
    const atom = turn(point, rotary.donor, position);
    const weight = dot(rest, atom) / dot(atom, atom);
    rest = rest.map((value, i) => value - weight * (atom[i] as number));
    chosen.push(next);
    positions.push(position);
  }
  const turned = (rows: Rows, heads: RotaryHeads) =>
    chosen.map((i, j) => turn(rows[i] as Float64Array, heads, positions[j] as number));
  const weights = leastSquares(target, turned(donor, rotary.donor));
  return combine({ points: chosen.map((_, j) => j), weights }, turned(original, rotary.original));
}

/** Element `element` of a stream of normal numbers: Box and Muller's, on Philox. */
export function normal(seed: number, tensor: string, stream: number, element: number): number {
  const hash = randomKey(seed, tensor);
  const pair = Math.floor(element / 2);
  const [a, b, c, d] = philox(
    [pair >>> 0, Math.floor(pair / 2 ** 32), stream, 0],
    [Number(hash & 0xffff_ffffn), Number(hash >> 32n)],
  );
  const unit = (high: number, low: number) => (high * 2 ** 21 + (low >>> 11) + 0.5) / 2 ** 53;
  const radius = Math.sqrt(-2 * Math.log(unit(a, b)));
  const angle = (2 * unit(c, d) - 1) * Math.PI;
  return radius * (element % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
}

/** Rows with the mean and covariance of `rows`. @param ids numbers of the wanted rows: what their numbers depend on. */
export function sampleLike(rows: Rows, ids: readonly number[], seed: number, tensor: string): Float64Array[] {
  const centre = mean(rows);
  const centred = subtract(rows, centre);
  const covariance = multiply(transpose(centred), centred).map((row) => row.map((value) => value / rows.length));
  const factor = cholesky(covariance);
  return ids.map((id) => {
    const z = centre.map((_, i) => normal(seed, tensor, 1, id * centre.length + i));
    return centre.map((value, i) => value + dot(factor[i] as Float64Array, z));
  });
}

/** By row: whether it looks trained. S. Land, M. Bartolo, arXiv:2405.05417. */
export function wellTrained(embedding: Rows, head: Rows | undefined, unused: readonly number[]): boolean[] {
  const bad = new Set(unused);
  const quantile = (values: readonly number[], share: number) => {
    const sorted = values.toSorted((a, b) => a - b);
    const place = share * (sorted.length - 1);
    const [low, high] = [sorted[Math.floor(place)] as number, sorted[Math.ceil(place)] as number];
    return low + (high - low) * (place - Math.floor(place));
  };
  const norm = (x: Float64Array) => Math.sqrt(dot(x, x));
  if (head !== undefined) {
    const norms = embedding.map(norm);
    const limit = quantile(norms, 0.01);
    for (const [i, value] of norms.entries()) if (value < limit) bad.add(i);
  }
  for (const rows of unused.length === 0 ? [] : [embedding, ...(head === undefined ? [] : [head])]) {
    const centre = mean(unused.map((i) => rows[i] as Float64Array));
    const cosines = rows.map((row) => dot(row, centre) / (norm(row) * norm(centre)));
    const limit = Math.max(0.5, quantile(cosines, 0.99));
    for (const [i, value] of cosines.entries()) if (value > limit) bad.add(i);
  }
  return embedding.map((_, i) => !bad.has(i));
}
