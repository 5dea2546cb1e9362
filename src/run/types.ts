import type { Problem } from "../errors.ts";
import type { DeviceUse } from "./devices.ts";
import type { Beginning } from "./unfinished.ts";

/** What to do about a NaN or an infinity in an input. */
export type NanPolicy = "warn" | "error" | "ignore";

/** How a plan is carried out. None of this changes a byte of the output. */
export interface RunOptions {
  /** Replace a model that the output folder already holds. */
  force: boolean;
  nan: NanPolicy;
  /** Wait for the disk to have every byte before a file gets its name. Off in benchmarks only. */
  sync: boolean;
  /**
   * Go on from what an interrupted run of the same merge left in the folder; else begin anew. `only`: and where there is
   * nothing of it, that is an error. `never`: and leave nothing to go on from, because the inputs will not be there again.
   */
  resume: boolean | "only" | "never";
  /** `false` only to measure what they cost: no journal, no look at whether inputs changed, no manifest. */
  records?: boolean;
  /** Ops in flight at a time; by default `max(4, 2 x worker threads)`, and six more for each device. */
  opsInFlight?: number | undefined;
  /** What the addon may use besides the CPU, and for which ops; by default nothing. */
  devices?: DeviceUse | undefined;
  /** Stops the run. Its reason, a SinterError, is what `runPlan` then throws. */
  signal?: AbortSignal | undefined;
}

export interface RunProgress {
  /** `reading`: nothing is written. `syncing`: all is computed, the disk is not done. */
  phase: "merging" | "reading" | "syncing";
  /** Bytes read and written so far, tensors under way by how far they have come, and in all. */
  bytes: number;
  totalBytes: number;
  /** Those of `bytes` that an earlier, interrupted run computed. */
  earlierBytes: number;
  /** Name of the tensor that is worked on: the oldest of those under way, at the end the last. */
  tensor: string;
}

export interface RunEvents {
  /** Said once, before anything is computed. */
  begun?(beginning: Beginning): void;
  progress(progress: RunProgress): void;
}

export interface RunResult {
  /** Where the model is: an absolute path. */
  folder: string;
  /** Wall clock. */
  seconds: number;
  /** Tensor bytes read, and bytes of all files written. */
  bytesRead: number;
  bytesWritten: number;
  /** What was found on the way: NaN or infinity in an input, files of an older model left in place. */
  warnings: readonly Problem[];
  /** What computed, by how many tensors: devices as `cuda:0 (name)`, and `cpu`. */
  computedOn: ReadonlyMap<string, number>;
  /** Of the bytes of the inputs those that were read straight into devices' memory, once for each time. */
  directBytes: number;
  /** XXH3-128 of each output tensor (of its blocks' digests), by output name. */
  checksums: ReadonlyMap<string, string>;
}
