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
  const head = {
    sinter_version: pkg.version,
    plan: planHash(plan),
    merge_method: plan.method,
    seed: plan.seed,
    ...(plan.varies === undefined ? {} : { varies_by_machine: plan.varies }),
    checksum: "XXH3-128 of the XXH3-128 digests of the tensor's 4 MiB blocks",
  };
  const fields = Object.entries(head).map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)},`);
  const tensors = plan.ops.map((op, index) => {
    const tensor = { dtype: op.dtype, shape: op.shape, xxh3_128: checksums[index] };
    return `    ${JSON.stringify(op.tensor)}: ${JSON.stringify(tensor)}`;
  });
  return `{\n${fields.join("\n")}\n  "tensors": {\n${tensors.join(",\n")}\n  }\n}\n`;
}
