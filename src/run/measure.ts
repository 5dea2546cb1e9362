import { SinterError } from "../errors.ts";
import { DTYPE_BYTES } from "../model/dtype.ts";
import type { Addon } from "../native.ts";
import type { MergeOp, OpInput } from "../plan/types.ts";
import { nativeProblem } from "./native-error.ts";
import { nativeInputs } from "./native-inputs.ts";
import { PassProgress } from "./pass-progress.ts";
import type { RunEvents } from "./types.ts";

/** Tensors that native code reads together, without writing anything: `count` elements of each. */
export interface Measurement {
  tensor: string;
  inputs: readonly OpInput[];
  count: number;
}

/** Inputs, and what is added to them, for native code. */
export type NativeInputs = ReturnType<typeof nativeInputs>;

/**
 * Measures tensors natively, a few at a time. Each file is opened once.
 * @param call asks native code for one of them.
 * @returns what it gave, in the order of `items`.
 * @throws SinterError for the first failure, or the signal's reason, after everything in flight has ended.
 */
export async function measureAll<M extends Measurement, T>(
  items: readonly M[],
  call: (item: M, inputs: NativeInputs) => Promise<T>,
  addon: Addon,
  signal: AbortSignal | undefined,
  events: RunEvents,
): Promise<T[]> {
  const sources = new SourceHandles(addon);
  const results: T[] = new Array(items.length);
  const totalBytes = items.reduce((sum, item) => sum + measuredBytes(item), 0);
  let failure: { error: unknown } | undefined;
  let next = 0;
  const progress = new PassProgress("reading", totalBytes, addon, events);
  const fail = (error: unknown) => {
    failure ??= { error };
    addon.cancel();
  };
  const abort = () => fail(signal?.reason);
  const worker = async () => {
    while (failure === undefined && next < items.length) {
      const index = next++;
      const item = items[index] as M;
      progress.begun(index, item.tensor);
      try {
        results[index] = await measureOne(item, call, sources);
        progress.ended(index, measuredBytes(item));
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
    progress.stop();
    sources.closeAll();
  }
  if (failure !== undefined) throw failure.error;
  return results;
}

async function measureOne<M extends Measurement, T>(
  item: M,
  call: (item: M, inputs: NativeInputs) => Promise<T>,
  sources: SourceHandles,
): Promise<T> {
  let path: string | undefined;
  try {
    const inputs = nativeInputs(item.inputs, (file) => {
      path = file;
      return sources.open(file);
    });
    path = undefined;
    return await call(item, inputs);
  } catch (error) {
    throw new SinterError(nativeProblem(error, { op: asOp(item), path }));
  }
}

/** Bytes that a measurement reads. */
export function measuredBytes({ inputs, count }: Measurement): number {
  return inputs.reduce((sum, { view }) => sum + count * DTYPE_BYTES[view.dtype], 0);
}

/** What messages about a failed op are made of. */
function asOp({ tensor, inputs, count }: Measurement): MergeOp {
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
