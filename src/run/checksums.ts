import { SinterError } from "../errors.ts";
import type { Addon, NativeResult } from "../native.ts";
import type { MergeOp, MergePlan } from "../plan/types.ts";
import { computation, opBytes } from "./compute.ts";
import { nativeProblem } from "./native-error.ts";
import { PassProgress } from "./pass-progress.ts";
import { OpenSources } from "./sources.ts";
import type { RunEvents } from "./types.ts";

/**
 * Computes every op of a plan without writing it: the checksums of what a run would write.
 * @param signal stops it; its reason, a SinterError, is then thrown.
 * @returns what native code said of each op, by op.
 * @throws SinterError for the first op that fails.
 */
export async function computeChecksums(
  plan: MergePlan,
  addon: Addon,
  signal: AbortSignal,
  events: RunEvents,
): Promise<NativeResult[]> {
  const sources = new OpenSources(plan, addon);
  const results: NativeResult[] = new Array(plan.ops.length);
  const totalBytes = plan.ops.reduce((sum, op) => sum + opBytes(op), 0);
  const stop = () => addon.cancel();
  signal.addEventListener("abort", stop, { once: true });
  let next = 0;
  const progress = new PassProgress("merging", totalBytes, addon, events);
  let failure: unknown;
  const work = async () => {
    while (next < plan.ops.length && failure === undefined) {
      const index = next++;
      const op = plan.ops[index] as MergeOp;
      progress.begun(index, op.tensor);
      try {
        signal.throwIfAborted();
        results[index] = await addon.checksum(computation(plan, op, sources));
        progress.ended(index, opBytes(op));
      } catch (error) {
        failure ??= error instanceof SinterError ? error : new SinterError(nativeProblem(error, { op }));
      } finally {
        sources.release(op);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.max(4, 2 * addon.info().threads) }, work));
  } finally {
    signal.removeEventListener("abort", stop);
    progress.stop();
    sources.closeAll();
  }
  signal.throwIfAborted();
  if (failure !== undefined) throw failure;
  return results;
}
