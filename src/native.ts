import type { Dtype } from "./model/dtype.ts";

/** The instruction-set levels that kernels are compiled for. */
export type CpuTarget = "x86-64-v2" | "x86-64-v3" | "x86-64-v4" | "arm64";

export interface NativeInfo {
  version: string;
  /** The level in use, and all that this CPU can run, lowest first. */
  target: CpuTarget;
  targets: CpuTarget[];
  /** Worker threads in use, and CPUs this process may run on. */
  threads: number;
  cpus: number;
  /** Names of the kernels that `merge` takes. */
  kernels: string[];
}

/** One input of `NativeOp`. `stream` tells the random numbers of sources apart. */
export interface NativeInput {
  source: number;
  offset: number;
  dtype: Dtype;
  stream: number;
}

/** A matrix in a source: element (i, j) is the one at `i * rowStride + j * columnStride` from `offset` (bytes). */
export interface NativeFactor {
  source: number;
  offset: number;
  dtype: Dtype;
  rowStride: number;
  columnStride: number;
}

/** A change to rows [begin, end) of an input as a matrix of `columns`; native/engine/patch.h says which. */
export interface NativePatch {
  input: number;
  columns: number;
  begin: number;
  end: number;
  rank: number;
  scale: number;
  replaces: boolean;
  left?: NativeFactor | undefined;
  right: NativeFactor;
  along?: "rows" | "columns" | undefined;
  magnitude?: NativeFactor | undefined;
}

/** One output tensor. The bytes of input `i` are `count` elements from `offset` of its source. */
export interface NativeOp {
  kernel: string;
  inputs: NativeInput[];
  /** Those of one input follow each other, in the order of their rows. */
  patches?: NativePatch[] | undefined;
  /** Elements of the tensor, its first dimension and its last (1 for a 0-d tensor): what kernels of vectors split by. */
  count: number;
  rows: number;
  columns: number;
  /** Laid out as the kernel's header in native/methods/ says. */
  params: number[];
  /** Random numbers are keyed by `seed` and `tensor` (the output's name). */
  seed: number;
  tensor: string;
  sink: number;
  offset: number;
  dtype: Dtype;
  /** Compute the CRC-32 that zip files need. */
  crc32: boolean;
}

export interface NativeResult {
  /** XXH3-128 of the XXH3-128 digests of the tensor's 4 MiB blocks, in hexadecimal. */
  checksum: string;
  crc32: number;
  /** Per input: whether it holds a NaN or an infinity. */
  nonFinite: boolean[];
}

/** A matrix of float32 in a source, and where the factors of its truncated decomposition go. */
export interface NativeDecomposition {
  source: number;
  /** Bytes. */
  offset: number;
  /** As it is stored; with `transposed`, what is decomposed is [columns, rows]. */
  rows: number;
  columns: number;
  transposed: boolean;
  /** The product `scale B A` instead, B [rows, inner] and A [inner, columns], both in the source. */
  factors?:
    | { inner: number; scale: number; aOffset: number; aDtype: Dtype; bOffset: number; bDtype: Dtype }
    | undefined;
  /** Most singular values that are kept. */
  rank: number;
  /** Those at or below are not. */
  epsilon: number;
  /** Stop where this share of the sum of squares is kept; 1: keep `rank`. */
  share: number;
  /** The square roots of the singular values go to both factors; else all of them to A. */
  distribute: boolean;
  seed: number;
  threads: number;
  sink: number;
  /** A is [rank found, columns], B is [rows, rank found]; there must be room for `rank`. */
  aOffset: number;
  bOffset: number;
  dtype: Dtype;
}

export interface NativeFactors {
  /** 0 where the matrix is zero or nothing exceeds epsilon. */
  rank: number;
  /** Sum of squares of the matrix, and of the singular values that were kept. */
  energy: number;
  kept: number;
  largest: number;
  smallest: number;
  /** Power iterations; 0 where the decomposition is exact. */
  iterations: number;
}

/** The whole boundary. Handles are numbers; a closed handle is an error, never a crash. */
export interface Addon {
  info(): NativeInfo;
  /**
   * Threads (0: one per CPU), instruction-set level, and bytes of scratch that may grow with tensors beyond what is
   * free (96 MiB). What is not given goes back to its default. Throws while ops are running.
   */
  configure(options: { threads?: number; target?: CpuTarget | "auto"; memory?: number }): void;
  /** Maps a file read-only. @returns a source handle. */
  openSource(path: string): { handle: number; size: number };
  /**
   * Creates a file of `size` bytes, its blocks reserved on the disk.
   * @returns a sink handle. @throws `SINK_EXISTS` where the path exists, `NO_SPACE` where the disk is too small.
   */
  createSink(path: string, size: number): number;
  writeSink(sink: number, offset: number, bytes: Uint8Array): void;
  /** Waits for the disk to have every byte (unless `sync` is false), then closes the file. */
  commitSink(sink: number, sync: boolean): Promise<void>;
  /** Releases a source, or a sink without committing it. */
  close(handle: number): void;
  /** Queues one op. Rejects with a NativeError. Ops run in the order they were queued, several at a time. */
  merge(op: NativeOp): Promise<NativeResult>;
  /**
   * Compares tensors v_1 … v_n with a base, the first input, without writing anything; d_i = v_i - base.
   * @returns for each i: sum of d_i², sum of d_i d_1, number of d_i that are not zero; then the number of elements where
   * some of d_2 … d_n are not zero, and the number of those where their signs disagree.
   */
  compare(op: { inputs: NativeInput[]; patches?: NativePatch[] | undefined; count: number }): Promise<Float64Array>;
  /** Truncated singular value decomposition (native/linear/svd.h). Starts at once, on threads of its own. */
  decompose(task: NativeDecomposition): Promise<NativeFactors>;
  /** Makes every op that has not finished reject with `CANCELLED`. */
  cancel(): void;
}

/** What the addon throws and rejects with. `source` is the input's index in the op, where one is to blame; the factors of patches count on from there. */
export interface NativeError extends Error {
  code:
    | "SOURCE_OPEN"
    | "SOURCE_FAILED"
    | "SINK_EXISTS"
    | "SINK_OPEN"
    | "NO_SPACE"
    | "SINK_WRITE"
    | "BAD_ARGUMENT"
    | "CANCELLED";
  source?: number;
}

let loaded: Addon | undefined;

/**
 * The addon, loaded on first use: the release build, or the file that the environment variable `SINTER_ADDON` names
 * (`scripts/sanitize.ts` tests another build with it).
 * @throws where it was not built or does not load, with what to do.
 */
export function native(): Addon {
  if (loaded === undefined) {
    try {
      const other = process.env.SINTER_ADDON;
      loaded = (other ? require(other) : require("../build/Release/sinter.node")) as Addon;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`the native addon does not load: ${reason}\n  → build it: bun run build`);
    }
  }
  return loaded;
}
