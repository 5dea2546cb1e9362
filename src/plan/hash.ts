import { basename } from "node:path";
import type { MergePlan } from "./types.ts";

/**
 * What makes two plans the same: the seed and, for each output file, which numbers are computed from which input
 * tensors and where they go. Folders are left out, so that another machine gets the same for the same models.
 * @returns SHA-256 in hexadecimal.
 */
export function planHash(plan: MergePlan): string {
  const hasher = new Bun.CryptoHasher("sha256");
  const add = (...values: unknown[]) => hasher.update(`${JSON.stringify(values)}\n`);
  add("sinter plan 1", plan.seed);
  for (const { path, size } of plan.inputFiles) add(basename(path), size);
  for (const { file, size, format } of plan.shards) add(file, size, format);
  const model = new Map(plan.models.map((name, index) => [name, index]));
  for (const op of plan.ops) {
    add(op.tensor, op.dtype, op.shape, op.shard, op.offset, op.kernel, op.params, op.randomAs ?? op.tensor);
    for (const { view, model: name, tensor, position } of op.inputs) {
      add(model.get(name), tensor, position, basename(view.file), view.offset, view.dtype, view.shape);
    }
  }
  return hasher.digest("hex");
}
