import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { SinterError } from "../errors.ts";
import type { Addon } from "../native.ts";
import { safetensorsHeader } from "../plan/safetensors-layout.ts";
import { torchShardBytes } from "../plan/torch-layout.ts";
import type { MergePlan, ShardPlan } from "../plan/types.ts";
import { nativeProblem } from "./native-error.ts";

/** The temporary files that the shards of a run are written to. */
export class OpenShards {
  readonly #plan: MergePlan;
  readonly #folder: string;
  readonly #addon: Addon;
  readonly #sinks = new Map<number, number>();
  /** Ops that have not ended, by shard. */
  readonly #left: number[];
  /** What tells a file of this run from one that another process put in its place. */
  readonly #inodes = new Map<string, number>();

  readonly #durable: boolean;
  readonly #kept: ReadonlySet<number>;
  /** Kept files mapped for reading, by shard. */
  readonly #sources = new Map<number, number>();

  /**
   * @param durable whether the shards will be synced.
   * @param kept shards whose temporary files an interrupted run left: they are gone on with.
   */
  constructor(plan: MergePlan, folder: string, addon: Addon, durable: boolean, kept: ReadonlySet<number>) {
    this.#durable = durable;
    this.#kept = kept;
    this.#plan = plan;
    this.#folder = folder;
    this.#addon = addon;
    this.#left = plan.shards.map((shard) => shard.ops.length);
  }

  /**
   * Creates the shard's temporary file in its whole size, or opens the one that was kept, and writes the header.
   * @throws SinterError naming the file.
   */
  open(index: number): number {
    const path = this.path(index);
    return this.#guard(path, () => {
      const { size } = this.#shard(index);
      const sink = this.#kept.has(index)
        ? this.#addon.openSink(path, size, this.#durable)
        : this.#addon.createSink(path, size, this.#durable);
      this.#sinks.set(index, sink);
      this.#inodes.set(path, statSync(path).ino);
      if (this.#shard(index).format === "safetensors") {
        this.#addon.writeSink(sink, 0, safetensorsHeader(this.#plan, index));
      }
      return sink;
    });
  }

  /** The shard's file for reading what is in it. @throws SinterError naming the file. */
  source(index: number): number {
    const known = this.#sources.get(index);
    if (known !== undefined) return known;
    const { handle } = this.#guard(this.path(index), () => this.#addon.openSource(this.path(index)));
    this.#sources.set(index, handle);
    return handle;
  }

  /** Says that one more op of the shard has ended well. @returns whether it was the last. */
  opEnded(index: number): boolean {
    const left = (this.#left[index] ?? 0) - 1;
    this.#left[index] = left;
    return left === 0;
  }

  /**
   * Completes a shard whose tensors are all written, and waits for the disk to have it if `sync`.
   * @param crcs CRC-32 of each tensor, in the order of the shard's ops; used by the torch format only.
   * @throws SinterError naming the file.
   */
  async commit(index: number, crcs: readonly number[], sync: boolean): Promise<void> {
    const sink = this.#sinks.get(index);
    if (sink === undefined) return;
    const path = this.path(index);
    if (this.#shard(index).format === "torch") {
      this.#guard(path, () => {
        for (const piece of torchShardBytes(this.#plan, index, crcs)) {
          this.#addon.writeSink(sink, piece.offset, piece.bytes);
        }
      });
    }
    this.#sinks.delete(index);
    this.#closeSource(index);
    try {
      await this.#addon.commitSink(sink, sync);
    } catch (error) {
      throw new SinterError(nativeProblem(error, { path }));
    }
  }

  /** @throws SinterError where a temporary file is no longer the one that this run wrote. */
  verify(): void {
    for (const [path, inode] of this.#inodes) {
      if (statSync(path, { throwIfNoEntry: false })?.ino === inode) continue;
      throw new SinterError({
        code: "shard-replaced",
        message: "the temporary output file was removed or replaced while the merge ran",
        path,
        hint: "another merge seems to write to the same folder: let it end, or choose another output folder",
      });
    }
  }

  /** Removes a shard's temporary file, as far as that goes. */
  discard(index: number): void {
    try {
      rmSync(this.path(index), { force: true });
    } catch {
      // The failure that led here is the one to report.
    }
  }

  #closeSource(index: number): void {
    const source = this.#sources.get(index);
    if (source === undefined) return;
    this.#sources.delete(index);
    this.#addon.close(source);
  }

  closeAll(): void {
    for (const index of [...this.#sources.keys()]) this.#closeSource(index);
    for (const sink of this.#sinks.values()) this.#addon.close(sink);
    this.#sinks.clear();
  }

  path(index: number): string {
    return `${join(this.#folder, this.#shard(index).file)}.tmp`;
  }

  #shard(index: number): ShardPlan {
    return this.#plan.shards[index] as ShardPlan;
  }

  #guard<T>(path: string, operation: () => T): T {
    try {
      return operation();
    } catch (error) {
      throw new SinterError(nativeProblem(error, { path }));
    }
  }
}
