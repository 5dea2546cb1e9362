import { SinterError } from "../errors.ts";
import { DTYPE_BYTES } from "../model/dtype.ts";
import type { Addon } from "../native.ts";
import type { MergeOp, OpInput } from "../plan/types.ts";
import { nativeProblem } from "../run/native-error.ts";
import { nativeInputs } from "../run/native-inputs.ts";
import type { RunEvents } from "../run/types.ts";

/** `count` elements of each of these tensors, the first of which the others are compared with. */
export interface Comparison {
  tensor: string;
  inputs: readonly OpInput[];
  count: number;
}

/** Inputs that one comparison takes: what native code has room for. */
export const MOST_INPUTS = 64;

/**
 * Compares tensors natively, a few at a time.
 * @returns the sums of `Addon.compare`, by comparison.
 * @throws SinterError for the first failure, or the signal's reason, after everything in flight has ended.
 */
export async function compareAll(
  comparisons: readonly Comparison[],
  addon: Addon,
  signal: AbortSignal | undefined,
  events: RunEvents,
): Promise<Float64Array[]> {
  const sources = new SourceHandles(addon);
  const results: Float64Array[] = new Array(comparisons.length);
  const totalBytes = comparisons.reduce((sum, comparison) => sum + comparedBytes(comparison), 0);
  let failure: { error: unknown } | undefined;
  let next = 0;
  let bytes = 0;
  const fail = (error: unknown) => {
    failure ??= { error };
    addon.cancel();
  };
  const abort = () => fail(signal?.reason);
  const worker = async () => {
    while (failure === undefined && next < comparisons.length) {
      const index = next++;
      const comparison = comparisons[index] as Comparison;
      try {
        results[index] = await compareOne(comparison, sources, addon);
        bytes += comparedBytes(comparison);
        events.progress({ phase: "merging", bytes, totalBytes, earlierBytes: 0, tensor: comparison.tensor });
      } catch (error) {
        fail(error);
      }
    }
  };
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted) abort();
  try {
    await Promise.all(Array.from({ length: Math.max(4, 2 * addon.info().threads) }, worker));
  } finally {
    signal?.removeEventListener("abort", abort);
    sources.closeAll();
  }
  if (failure !== undefined) throw failure.error;
  return results;
}

async function compareOne(comparison: Comparison, sources: SourceHandles, addon: Addon): Promise<Float64Array> {
  let path: string | undefined;
  try {
    const inputs = nativeInputs(comparison.inputs, (file) => {
      path = file;
      return sources.open(file);
    });
    path = undefined;
    return await addon.compare({ ...inputs, count: comparison.count });
  } catch (error) {
    throw new SinterError(nativeProblem(error, { op: asOp(comparison), path }));
  }
}

/** Bytes that a comparison reads. */
export function comparedBytes({ inputs, count }: Comparison): number {
  return inputs.reduce((sum, { view }) => sum + count * DTYPE_BYTES[view.dtype], 0);
}

/** What messages about a failed op are made of. */
function asOp({ tensor, inputs, count }: Comparison): MergeOp {
  return { tensor, dtype: "F32", shape: [count], shard: 0, offset: 0, kernel: "compare", inputs, params: [] };
}

/** Mapped files by path, each opened once. */
class SourceHandles {
  readonly #addon: Addon;
  readonly #handles = new Map<string, number>();

  constructor(addon: Addon) {
    this.#addon = addon;
  }

  open(path: string): number {
    const handle = this.#handles.get(path) ?? this.#addon.openSource(path).handle;
    this.#handles.set(path, handle);
    return handle;
  }

  closeAll(): void {
    for (const handle of this.#handles.values()) this.#addon.close(handle);
    this.#handles.clear();
  }
}
