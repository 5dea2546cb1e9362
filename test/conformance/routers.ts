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

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
}
