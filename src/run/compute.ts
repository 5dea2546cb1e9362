import { SinterError } from "../errors.ts";
import { DTYPE_BYTES } from "../model/dtype.ts";
import { elementCount } from "../model/types.ts";
import type { Addon, NativeOp, NativeResult } from "../native.ts";
import type { MergeOp, MergePlan, ShardPlan } from "../plan/types.ts";
import type { OpResult } from "./computed-on.ts";
import { MOST_SLOTS } from "./device-memory.ts";
import { type NativeContext, nativeProblem } from "./native-error.ts";
import { nativeInputs } from "./native-inputs.ts";
import { refuseNonFinite } from "./non-finite.ts";
import { PassProgress } from "./pass-progress.ts";
import { OpenShards } from "./shards.ts";
import { OpenSources } from "./sources.ts";
import type { RunEvents, RunOptions } from "./types.ts";
import { keptShards, outputBytes, type Work } from "./unfinished.ts";

/**
 * Computes every op of the plan into `<shard>.tmp` files of `folder`, a few ops in flight at a time, in the order of
 * the files. An op that an interrupted run has done is read and compared with its checksum instead. When it returns, all shards are complete and (if `options.sync`) on the disk, still under temporary names.
 * @returns what native code said of each op, by op.
 * @throws SinterError for the first failure, after everything in flight has ended and every handle is closed.
 */
export async function computeShards(
  plan: MergePlan,
  folder: string,
  work: Work,
  options: RunOptions,
  addon: Addon,
  events: RunEvents,
): Promise<OpResult[]> {
  const computation = new Computation(plan, folder, work, options, addon, events);
  return await computation.run();
}

/** As many as a device has under way at most, and as many again that wait for it. */
const OPS_PER_DEVICE = 2 * MOST_SLOTS;

class Computation {
  readonly #plan: MergePlan;
  readonly #work: Work;
  readonly #options: RunOptions;
  readonly #addon: Addon;
  readonly #events: RunEvents;
  readonly #sources: OpenSources;
  readonly #shards: OpenShards;
  readonly #results: OpResult[];
  readonly #totalBytes: number;
  #progress: PassProgress | undefined;
  #bytes = 0;
  #ops = 0;
  #commits = 0;
  #failure: { error: unknown } | undefined;
  #wake = () => {};

  constructor(plan: MergePlan, folder: string, work: Work, options: RunOptions, addon: Addon, events: RunEvents) {
    this.#plan = plan;
    this.#work = work;
    this.#options = options;
    this.#addon = addon;
    this.#events = events;
    this.#sources = new OpenSources(plan, addon);
    this.#shards = new OpenShards(plan, folder, addon, options.sync, keptShards(plan, work.done));
    this.#results = new Array(plan.ops.length);
    this.#totalBytes = plan.ops.reduce((sum, op) => sum + opBytes(op), 0);
  }

  async run(): Promise<OpResult[]> {
    const { signal } = this.#options;
    const abort = () => this.#fail(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
    this.#progress = new PassProgress("merging", this.#totalBytes, this.#addon, this.#events);
    try {
      await this.#queueAll();
      while (this.#ops + this.#commits > 0) await this.#something();
      if (this.#failure === undefined) this.#shards.verify();
    } catch (error) {
      this.#fail(error);
      while (this.#ops + this.#commits > 0) await this.#something();
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#progress.stop();
      this.#sources.closeAll();
      this.#shards.closeAll();
    }
    if (this.#failure) throw this.#failure.error;
    return this.#results;
  }

  async #queueAll(): Promise<void> {
    const { opsInFlight, devices } = this.#options;
    const ofDevices = OPS_PER_DEVICE * (devices?.devices.length ?? 0);
    const limit = opsInFlight ?? Math.max(4, 2 * this.#addon.info().threads) + ofDevices;
    for (const [index, shard] of this.#plan.shards.entries()) {
      if (this.#failure) return;
      const sink = this.#shards.open(index);
      if (shard.ops.length === 0) void this.#startCommit(index);
      for (const opIndex of shard.ops) {
        while (this.#ops >= limit && !this.#failure) await this.#something();
        if (this.#failure) return;
        void this.#startOp(opIndex, sink);
      }
    }
  }

  /** Resolves when the next op or commit ends, well or not. */
  #something(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #startOp(index: number, sink: number): Promise<void> {
    const op = this.#plan.ops[index] as MergeOp;
    this.#ops++;
    this.#progress?.begun(index, op.tensor);
    try {
      const found = await this.#found(index, op);
      if (this.#failure) return;
      this.#opEnded(index, op, found ?? (await this.#compute(op, sink)), found !== undefined);
    } catch (error) {
      this.#fail(asSinterError(error, { op, path: this.#shards.path(op.shard) }));
    } finally {
      this.#sources.release(op);
      this.#ops--;
      this.#wake();
    }
  }

  /** What an interrupted run said of the op, if its bytes are there. */
  async #found(index: number, op: MergeOp): Promise<NativeResult | undefined> {
    const recorded = this.#work.done.get(index);
    if (recorded === undefined) return undefined;
    try {
      const isZipped = this.#plan.shards[op.shard]?.format === "torch";
      const { checksum, crc32 } = await this.#addon.checksum({
        kernel: "copy",
        inputs: [{ source: this.#shards.source(op.shard), offset: op.offset, dtype: op.dtype, stream: 0 }],
        count: elementCount(op.shape),
        rows: op.shape[0] ?? 1,
        columns: op.shape.at(-1) ?? 1,
        params: [],
        seed: 0,
        tensor: op.tensor,
        dtype: op.dtype,
        crc32: isZipped,
      });
      return checksum === recorded.checksum && (!isZipped || crc32 === recorded.crc32) ? recorded : undefined;
    } catch {
      // What cannot be read back is computed again.
      return undefined;
    }
  }

  async #compute(op: MergeOp, sink: number): Promise<OpResult> {
    const given = this.#nativeOp(op, sink);
    const result = await this.#addon.merge(given);
    const unfit = given.device && result.device === undefined && result.returned === undefined;
    return unfit ? { ...result, unfit } : result;
  }

  #nativeOp(op: MergeOp, sink: number): NativeOp {
    return {
      ...computation(this.#plan, op, this.#sources),
      sink,
      offset: op.offset,
      crc32: this.#plan.shards[op.shard]?.format === "torch",
      device: this.#options.devices?.choose(op).device ?? false,
    };
  }

  #opEnded(index: number, op: MergeOp, result: OpResult, found: boolean): void {
    this.#results[index] = result;
    if (!found) this.#work.journal.opDone(index, outputBytes(op), result);
    if (this.#options.nan === "error") refuseNonFinite(op, result);
    this.#bytes += opBytes(op);
    this.#progress?.ended(index, opBytes(op), found);
    if (this.#shards.opEnded(op.shard) && this.#failure === undefined) void this.#startCommit(op.shard);
  }

  async #startCommit(shard: number): Promise<void> {
    const { ops } = this.#plan.shards[shard] as ShardPlan;
    const crcs = ops.map((op) => this.#results[op]?.crc32 ?? 0);
    this.#commits++;
    try {
      const committed = this.#shards.commit(shard, crcs, this.#options.sync);
      if (this.#bytes === this.#totalBytes) this.#progress?.syncing();
      await committed;
      void this.#work.journal.sync();
    } catch (error) {
      // What the disk refused to store may still be read back from the cache, once: the file is not to be gone on with.
      this.#shards.discard(shard);
      this.#fail(asSinterError(error, { path: this.#shards.path(shard) }));
    } finally {
      this.#commits--;
      this.#wake();
    }
  }

  /** Keeps the first failure and makes everything in flight end. */
  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#addon.cancel();
    this.#wake();
  }
}

/** What an op computes, apart from where it is written. Opens the files that it reads. */
export function computation(plan: MergePlan, op: MergeOp, sources: OpenSources): Computed {
  const [first] = op.inputs;
  return {
    kernel: op.kernel,
    ...nativeInputs(op.inputs, (file, model) => sources.open(file, model, op)),
    count: elementCount(op.shape),
    rows: op.shape[0] ?? 1,
    columns: op.shape.at(-1) ?? 1,
    elements: elementCount(first === undefined || first.gather !== undefined ? op.shape : first.view.shape),
    params: op.values ?? [...op.params],
    seed: plan.seed,
    tensor: op.randomAs ?? op.tensor,
    dtype: op.dtype,
  };
}

type Computed = Parameters<Addon["checksum"]>[0];

function asSinterError(error: unknown, context: NativeContext): SinterError {
  return error instanceof SinterError ? error : new SinterError(nativeProblem(error, context));
}

/** Bytes that an op reads and writes. */
export function opBytes(op: MergeOp): number {
  let bytes = elementCount(op.shape) * DTYPE_BYTES[op.dtype];
  for (const { view } of op.inputs) bytes += elementCount(view.shape) * DTYPE_BYTES[view.dtype];
  return bytes;
}
