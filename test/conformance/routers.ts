import type { StoredTensor } from "../support/safetensors.ts";
import { valuesOf } from "./kit.ts";

/** Routers of a mixture, and the gate of its shared expert. */
const ROUTER = /\.(mlp|block_sparse_moe)\.(gate|shared_expert_gate)\.weight$/;

/** The reference works routers out in bfloat16: only their directions are the same, so far. */
const LEAST_COSINE = 0.9999;
const NORM_TOLERANCE = 0.01;

export function isRouter(tensor: string): boolean {
  return ROUTER.test(tensor);
}

/** Why two routers are not the same, row by row; undefined where they are. */
export function routerFault(ours: StoredTensor, theirs: StoredTensor): string | undefined {
  const [a, b] = [valuesOf(ours), valuesOf(theirs)];
  const width = ours.shape.at(-1) ?? 1;
  for (let start = 0; start < a.length; start += width) {
    const [row, other] = [a.subarray(start, start + width), b.subarray(start, start + width)];
    const [norm, otherNorm] = [Math.sqrt(dot(row, row)), Math.sqrt(dot(other, other))];
    if (Math.abs(norm / otherNorm - 1) > NORM_TOLERANCE) return `a row has norm ${norm}, should be ${otherNorm}`;
    const cosine = dot(row, other) / (norm * otherNorm);
    if (!(cosine >= LEAST_COSINE)) return `a row has a cosine of ${cosine} with the reference's`;
  }
  return undefined;
}

/** The same for routers that both drew at random: whether mean and spread are those of the reference, within chance. */
export function randomRouterFault(ours: StoredTensor, theirs: StoredTensor): string | undefined {
  const [a, b] = [moments(valuesOf(ours)), moments(valuesOf(theirs))];
  const chance = 4 / Math.sqrt(a.count);
  if (Math.abs(a.mean - b.mean) > 2 * chance * b.deviation) return `the mean is ${a.mean}, the reference's ${b.mean}`;
  if (Math.abs(a.deviation / b.deviation - 1) <= chance) return undefined;
  return `the standard deviation is ${a.deviation}, the reference's ${b.deviation}`;
}

function moments(values: Float64Array): { count: number; mean: number; deviation: number } {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const squares = values.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return { count: values.length, mean, deviation: Math.sqrt(squares / values.length) };
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
}
