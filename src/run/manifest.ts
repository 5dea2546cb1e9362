import pkg from "../../package.json" with { type: "json" };
import { planHash } from "../plan/hash.ts";
import type { MergePlan } from "../plan/types.ts";

export const MANIFEST_NAME = "sinter_manifest.json";

/**
 * What lets others verify a merge: the recipe's hash and a checksum of every tensor. It holds no time, no path and
 * nothing about the machine, so two runs of one recipe write the same bytes.
 * @param checksums XXH3-128 in hexadecimal, by op.
 */
export function manifestText(plan: MergePlan, checksums: readonly string[]): string {
  const tensors: Record<string, unknown> = {};
  for (const [index, op] of plan.ops.entries()) {
    tensors[op.tensor] = { dtype: op.dtype, shape: op.shape, xxh3_128: checksums[index] };
  }
  const manifest = {
    sinter_version: pkg.version,
    plan: planHash(plan),
    merge_method: plan.method,
    seed: plan.seed,
    checksum: "XXH3-128 of the XXH3-128 digests of the tensor's 4 MiB blocks",
    tensors,
  };
  return `${JSON.stringify(manifest, undefined, 1)}\n`;
}
