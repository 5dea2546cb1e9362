import { basename, dirname } from "node:path";
import type { MergeOp, MergePlan } from "./types.ts";

/** Text is hashed in pieces of about this many characters: one call for each op would take most of the time. */
const PIECE = 1 << 16;

/**
 * What makes two plans the same: the seed and, for each output file, which numbers are computed from which input
 * tensors and where they go. Of a file's path only its name and its folder's count (in the Hugging Face cache a
 * commit), so that another machine gets the same for the same models.
 * @returns SHA-256 in hexadecimal.
 */
export function planHash(plan: MergePlan): string {
  const hasher = new Bun.CryptoHasher("sha256");
  let text = "";
  const add = (value: unknown) => {
    text += `${JSON.stringify(value)}\n`;
    if (text.length < PIECE) return;
    hasher.update(text);
    text = "";
  };
  add(["sinter plan 1", plan.seed]);
  const files = new Map(plan.inputFiles.map(({ path }) => [path, [basename(dirname(path)), basename(path)].join("/")]));
  const models = new Map(plan.models.map((name, index) => [name, index]));
  for (const { path, size } of plan.inputFiles) add([files.get(path), size]);
  for (const { file, size, format } of plan.shards) add([file, size, format]);
  for (const op of plan.ops) add(describe(op, files, models));
  return hasher.update(text).digest("hex");
}

function describe(op: MergeOp, files: ReadonlyMap<string, string>, models: ReadonlyMap<string, number>): unknown[] {
  const inputs = op.inputs.map(({ view, model, tensor, position }) => {
    const { file, offset, dtype, shape } = view;
    return [models.get(model), tensor, position, files.get(file), offset, dtype, shape];
  });
  return [op.tensor, op.dtype, op.shape, op.shard, op.offset, op.kernel, op.params, op.randomAs ?? op.tensor, inputs];
}
