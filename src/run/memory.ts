import { elementCount } from "../model/types.ts";
import type { MergeOp, MergePlan } from "../plan/types.ts";

/** Bun with Sinter's modules and the addon loaded, measured; in bytes of anonymous memory. */
const RUNTIME = 40e6;
/** A planned op, its inputs and its result, as JavaScript values. */
const PER_OP = 3000;
/** A worker's output block (4 MiB, the unit of checksums) and its buffers for inputs and random numbers. */
const PER_WORKER = 6e6;

/** Kernels that look for the k-th largest magnitude of each input but the base: they collect candidates. */
const SELECTING: ReadonlySet<string> = new Set(["ties"]);
/** Most candidates that one selection collects: `kCollectRoom` in native/engine/select.cc. */
const COLLECTED = 8 << 20;

/** Most bytes of anonymous memory that running the plan takes: an estimate that does not grow with the model. */
export function peakMemory(plan: MergePlan, threads: number): number {
  let selection = 0;
  for (const op of plan.ops) selection = Math.max(selection, selectionBytes(op));
  return RUNTIME + PER_OP * plan.ops.length + PER_WORKER * threads + selection;
}

function selectionBytes(op: MergeOp): number {
  if (!SELECTING.has(op.kernel)) return 0;
  const wide = op.dtype === "F64" || op.inputs.some(({ view }) => view.dtype === "F64");
  const count = elementCount(op.shape);
  const sample = Math.min(Math.max(count / 1024, 16_384), 1 << 20);
  // The bracket around the threshold is ten standard deviations of the sample's quantile wide; lists grow by doubling.
  const candidates = Math.min(2 * count * 10 * Math.sqrt(0.25 / sample), COLLECTED, count);
  return (op.inputs.length - 1) * (candidates + sample) * (wide ? 8 : 4);
}
