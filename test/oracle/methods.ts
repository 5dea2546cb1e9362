import type { FloatDtype } from "../../src/model/dtype.ts";
import { karcher, modelStock, multislerp, nuslerp } from "./directions.ts";
import { nearswap, ram, sce } from "./elements.ts";
import { arceeFusion } from "./fusion.ts";
import { assembled, generated } from "./mixture.ts";
import { randomMask } from "./philox.ts";
import { rankedMask } from "./ranked.ts";
import { selectLargest } from "./select.ts";

/** One output tensor, as `MergeOp` asks for it, with its inputs decoded. */
export interface OracleOp {
  kernel: string;
  params: readonly number[];
  inputs: readonly OracleInput[];
  /** Of the output: with the inputs' dtypes it decides the precision in which magnitudes are ranked. */
  dtype: FloatDtype;
  count: number;
  /** First and last dimension; the tensor is a vector where they are not given. */
  rows?: number;
  columns?: number;
  seed: number;
  /** The output's name. */
  tensor: string;
}

export interface OracleInput {
  values: Float64Array;
  dtype: FloatDtype;
  /** Position of the source in the recipe. */
  stream: number;
}

/** What a method gives in float64, before the output is rounded. All arrays hold one number per element. */
export interface OracleResult {
  values: Float64Array;
  /** Sum of the absolute values of everything that was added up: rounding errors are proportional to it. */
  terms: Float64Array;
  /** Where the vote on the sign is so close that float32 may call it the other way: the value that gives. */
  alternatives: ReadonlyMap<number, number>;
  /** Elements whose magnitude equals one that was dropped: only our rule for equals says whether they are kept. */
  contested: ReadonlySet<number>;
}

/** Below these the reference does not divide. */
const NORM_FLOOR = 1e-8;
const WEIGHT_SUM_FLOOR = 1e-8;
const RESCALE_FLOOR = 1e-7;
/** Weights of both signs whose sum is this small a part of the sum of their magnitudes count as summing to zero. */
const CANCELLED = 2 ** -20;
/** Vectors whose cosine exceeds this count as colinear. */
const COLINEAR = 0.9995;
/** A vote is close when the sum of the weighted differences is this small a part of the sum of their magnitudes. */
const CLOSE_VOTE = 2 ** -21;

/** True where native code works in float64: the output or an input is F64. */
export function worksInFloat64(op: Pick<OracleOp, "dtype" | "inputs">): boolean {
  return op.dtype === "F64" || op.inputs.some((input) => input.dtype === "F64");
}

/** Runs `op` in float64. Formulas: native/methods/ names the papers; this is written from those. */
export function oracle(op: OracleOp): OracleResult {
  switch (op.kernel) {
    case "copy":
      return weightedSum(op, [1]);
    case "linear":
      return weightedSum(op, op.params);
    case "slerp":
      return slerp(op);
    case "task_arithmetic":
    case "ties":
    case "ties_count":
    case "dare_linear":
    case "dare_ties":
    case "breadcrumbs":
    case "breadcrumbs_ties":
    case "della_linear":
    case "della":
      return taskVectors(op);
    case "nuslerp":
    case "nuslerp_base":
      return nuslerp(op);
    case "multislerp":
    case "multislerp_base":
      return multislerp(op);
    case "karcher":
      return karcher(op);
    case "model_stock":
      return modelStock(op);
    case "sce":
      return sce(op);
    case "ram":
    case "ramplus_tl":
      return ram(op);
    case "nearswap":
      return nearswap(op);
    case "arcee_fusion":
      return arceeFusion(op);
    case "assemble":
      return assembled(op);
    case "constant":
    case "literal":
    case "normal":
    case "uniform":
      return generated(op);
    default:
      throw new Error(`the oracle does not know the kernel ${op.kernel}`);
  }
}

function weightedSum(op: OracleOp, coefficients: readonly number[]): OracleResult {
  const values = new Float64Array(op.count);
  const terms = new Float64Array(op.count);
  for (let i = 0; i < op.count; i++) {
    let sum = 0;
    let magnitude = 0;
    op.inputs.forEach((input, k) => {
      const term = (coefficients[k] as number) * (input.values[i] as number);
      sum = k === 0 ? term : sum + term;
      magnitude += Math.abs(term);
    });
    values[i] = sum;
    terms[i] = magnitude;
  }
  return { values, terms, alternatives: new Map(), contested: new Set() };
}

function slerp(op: OracleOp): OracleResult {
  const t = op.params[0] as number;
  const [a, b] = op.inputs.map((input) => input.values) as [Float64Array, Float64Array];
  const scaleA = inverseNorm(a);
  const scaleB = inverseNorm(b);
  const cosine = exactSum(a.length, (i) => (a[i] as number) * scaleA * (b[i] as number) * scaleB);
  if (Math.abs(cosine) > COLINEAR) return weightedSum(op, [1 - t, t]);
  const angle = Math.acos(cosine);
  return weightedSum(op, [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)]);
}

function inverseNorm(values: Float64Array): number {
  const norm = Math.sqrt(exactSum(values.length, (i) => (values[i] as number) ** 2));
  return norm > NORM_FLOOR || Number.isNaN(norm) ? 1 / norm : 1;
}

/** Which elements of a difference are kept, and the magnitudes among which only our rule for equals decides. */
interface Kept {
  mask: Uint8Array;
  contested: readonly number[];
}

interface Difference extends Kept {
  values: Float64Array;
  /** What kept elements are multiplied with, the model's weight included. */
  factor: number;
  weight: number;
}

function taskVectors(op: OracleOp): OracleResult {
  const [lambda, normalize, rescale, ...perModel] = op.params as [number, number, number, ...number[]];
  const base = (op.inputs[0] as OracleInput).values;
  const stride = perModel.length / (op.inputs.length - 1);
  const differences = op.inputs.slice(1).map((input, k): Difference => {
    const [weight, ...numbers] = perModel.slice(stride * k, stride * (k + 1)) as [number, ...number[]];
    const values = input.values.map((x, i) => x - (base[i] as number));
    const selection = select(op, input, values, numbers);
    const scale = rescale && selection.mask.includes(0) ? l1Ratio(values, selection.mask) : 1;
    return { values, ...selection, factor: weight * scale, weight };
  });
  const vote = ["ties", "ties_count", "dare_ties", "breadcrumbs_ties", "della"].includes(op.kernel);
  const result = { values: new Float64Array(op.count), terms: new Float64Array(op.count) };
  const alternatives = new Map<number, number>();
  const weighted = new Float64Array(differences.length);
  for (let i = 0; i < op.count; i++) {
    let total = 0;
    let magnitude = 0;
    differences.forEach(({ values, mask, factor }, k) => {
      // Times the mask, as the formula says: NaN and infinity show through it.
      weighted[k] = factor * (values[i] as number) * (mask[i] as number);
      total += weighted[k] as number;
      magnitude += Math.abs(weighted[k] as number);
    });
    const finish = (sign: number) => {
      const { mixed, divisor, spread } = vote ? agreeing(weighted, differences, sign) : summed(total, differences);
      const gain = lambda / (normalize ? divisor : 1);
      const sensitivity = normalize ? Math.max(1, spread / Math.abs(divisor)) : 1;
      return { value: (base[i] as number) + gain * mixed, gain: gain * sensitivity };
    };
    const counts = op.kernel === "ties_count";
    const ballot = counts ? weighted.reduce((sum, x) => sum + Math.sign(x), 0) : total;
    const chosen = finish(ballot >= 0 ? 1 : -1);
    result.values[i] = chosen.value;
    result.terms[i] = Math.abs(base[i] as number) + Math.abs(chosen.gain) * magnitude;
    const close = vote && !counts && magnitude > 0 && Math.abs(total) <= CLOSE_VOTE * magnitude;
    if (close) alternatives.set(i, finish(total >= 0 ? -1 : 1).value);
  }
  return { ...result, alternatives, contested: contestedElements(op, differences) };
}

function contestedElements(op: OracleOp, differences: readonly Difference[]): Set<number> {
  const elements = new Set<number>();
  const magnitude = magnitudeIn(op);
  for (const { values, contested } of differences) {
    if (contested.length === 0) continue;
    values.forEach((difference, i) => {
      if (contested.some((equal) => Object.is(magnitude(difference), equal))) elements.add(i);
    });
  }
  return elements;
}

/** @param numbers what the kernel was told of the model, its weight aside. */
function select(op: OracleOp, input: OracleInput, differences: Float64Array, numbers: readonly number[]): Kept {
  const [first = 0, second = 0] = numbers;
  const magnitudes = () => differences.map(magnitudeIn(op));
  if (op.kernel.startsWith("ties") && first >= 0) return largest(magnitudes(), 0, first);
  if (op.kernel.startsWith("breadcrumbs") && second >= 0) return largest(magnitudes(), first, second);
  if (op.kernel.startsWith("della")) {
    const rows = { count: op.count, columns: op.columns ?? op.count };
    return { mask: rankedMask(op, input.stream, rows, magnitudes(), first, second), contested: [] };
  }
  const probability = op.kernel.startsWith("dare") ? first : 1;
  return { mask: randomMask(op.seed, op.tensor, input.stream, op.count, probability), contested: [] };
}

/** Keeps the `keep` largest after the `top` largest. */
function largest(magnitudes: Float64Array, top: number, keep: number): Kept {
  const dropped = selectLargest(magnitudes, top);
  const both = selectLargest(magnitudes, top + keep);
  const contested = [dropped.contested, both.contested].filter((magnitude) => magnitude !== undefined);
  return { mask: both.mask.map((kept, i) => kept & ~(dropped.mask[i] as number)), contested };
}

/** A magnitude as it is ranked: in the precision of the work. */
function magnitudeIn(op: OracleOp): (difference: number) => number {
  return worksInFloat64(op) ? Math.abs : (difference) => Math.fround(Math.abs(difference));
}

function l1Ratio(differences: Float64Array, mask: Uint8Array): number {
  const all = exactSum(differences.length, (i) => Math.abs(differences[i] as number));
  const kept = exactSum(differences.length, (i) => (mask[i] ? Math.abs(differences[i] as number) : 0));
  const usable = all >= RESCALE_FLOOR && kept >= RESCALE_FLOOR && Number.isFinite(all + kept);
  return usable ? all / kept : 1;
}

/**
 * The weighted differences whose sign is the elected one; and what they are divided by, the sum of their weights, 1 where
 * that is 0. `spread`: the sum of the weights' magnitudes, to which the error of their sum is proportional.
 */
function agreeing(weighted: Float64Array, differences: readonly Difference[], sign: number) {
  let mixed = 0;
  let divisor = 0;
  let spread = 0;
  for (let k = 0; k < weighted.length; k++) {
    const value = weighted[k] as number;
    const { weight } = differences[k] as Difference;
    const counts = Math.sign(value) === sign ? 1 : 0;
    mixed += value * counts;
    divisor += weight * counts;
    spread += Math.abs(weight) * counts;
  }
  const bothSigns = differences.some(({ weight }) => weight < 0);
  const all = differences.reduce((sum, { weight }) => sum + Math.abs(weight), 0);
  const zero = Math.abs(divisor) <= (bothSigns ? CANCELLED * all : 0);
  return { mixed, divisor: zero ? 1 : divisor, spread };
}

function summed(total: number, differences: readonly Difference[]) {
  const weights = differences.reduce((sum, { weight }) => sum + weight, 0);
  const spread = differences.reduce((sum, { weight }) => sum + Math.abs(weight), 0);
  return { mixed: total, divisor: Math.abs(weights) < WEIGHT_SUM_FLOOR ? 1 : weights, spread };
}

/** Neumaier's compensated sum: its error does not grow with the number of terms. */
export function exactSum(count: number, term: (i: number) => number): number {
  let sum = 0;
  let lost = 0;
  for (let i = 0; i < count; i++) {
    const x = term(i);
    const next = sum + x;
    lost += Math.abs(sum) >= Math.abs(x) ? sum - next + x : x - next + sum;
    sum = next;
  }
  // Beyond infinity the compensation is NaN; the plain sum is the answer there.
  return Number.isFinite(sum) ? sum + lost : sum;
}
