import { addonFromMemory } from "./embedded-addon.ts";
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

/** One input of `NativeOp`: elements from byte `offset` of its source. `stream` tells the random numbers of sources apart. */
export interface NativeInput {
  source: number;
  offset: number;
  dtype: Dtype;
  stream: number;
  /** Where the elements do not lie one after another: sizes and strides (in elements), the last dimension fastest. */
  layout?: { sizes: readonly number[]; strides: readonly number[] } | undefined;
  /** Where its rows lie, where they are not those at `offset` in their order. Then `source` is whom to blame first. */
  gather?: NativeGather | undefined;
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
  /** Which of the pieces that the input's rows are gathered from; undefined: the input is a tensor of its own. */
  piece?: number | undefined;
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

/** Rows of an input, each somewhere in several pieces. A row has as many elements as the tensor's after the first dimension. */
export interface NativeGather {
  /** Rows are counted from 0 through all pieces. */
  pieces: { source: number; offset: number; dtype: Dtype; rows: number }[];
  /**
   * For each row of the tensor its number; or -1: zeros; -2: the mean of all rows that have not this code; -3 - i: the
   * mean of the rows that `mixes` lists from `mixes[i]`, which is how many they are.
   */
  rows: Int32Array;
  mixes: Int32Array;
}

/** One output tensor. Each input has `count` elements. */
export interface NativeOp {
  kernel: string;
  inputs: NativeInput[];
  /** Those of one input or piece follow each other, in the order of their rows. */
  patches?: NativePatch[] | undefined;
  /** Elements of the tensor, its first dimension and its last (1 for a 0-d tensor): what kernels of vectors split by. */
  count: number;
  rows: number;
  columns: number;
  /** Elements of each input where they are not `count`: the inputs are pieces of the tensor. */
  elements?: number;
  /** Laid out as the kernel's header in native/methods/ or native/cpu/ says. */
  params: number[] | Float64Array;
  /** Random numbers are keyed by `seed` and `tensor` (the output's name). */
  seed: number;
  tensor: string;
  sink: number;
  offset: number;
  dtype: Dtype;
  /** Compute the CRC-32 that zip files need. */
  crc32: boolean;
  /** Whether a device of `useDevices` is to compute it, if one can. */
  device?: boolean;
}

export interface NativeResult {
  /** XXH3-128 of the XXH3-128 digests of the tensor's 4 MiB blocks, in hexadecimal. */
  checksum: string;
  crc32: number;
  /** Per input: whether it holds a NaN or an infinity. */
  nonFinite: boolean[];
  /** The device that computed it, as `cuda:0 (name)`; undefined: the CPU. */
  device?: string;
  /** Why a device that was to compute it did not: what failed. */
  returned?: string;
  /** Bytes of the inputs that were read straight into the device's memory. */
  directBytes?: number;
}

/** When files are read straight into a device's memory: where that is found to be faster, wherever it works, or not at all. */
export type DirectUse = "auto" | "always" | "never";

/** A device of the library for accelerators, opened. */
export interface NativeDevice {
  /** Counted from 0. */
  index: number;
  /** Why it cannot be used; then nothing else but its number is there. */
  failure?: string;
  name: string;
  /** In bytes. */
  memory: number;
  free: number;
  /** Compute capability, and the newest CUDA that the driver serves. As `9.0`. */
  capability: string;
  driver: string;
  /**
   * What reads files straight into its memory, or why nothing does; undefined where the machine has no such way, or cuFile
   * was not to be opened.
   */
  directStorage?: string;
}

/** What the library for accelerators offers. */
export interface NativeDevices {
  /** The library's file, or where it was looked for. */
  path: string;
  /** CUDA that it was built with, as `12.4`; undefined where it is not there or not of this build. */
  runtime?: string;
  /** How many there are. */
  count: number;
  /** Those that were to be opened. */
  devices: NativeDevice[];
  /** Why there are none: no library; one that is not of this build; no driver or no device. */
  lack?: { what: "library" | "version" | "device"; message: string };
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
  /** The product `scale B A` instead, B [rows, inner] and A [inner, columns], both in the source; strides in elements. */
  factors?:
    | {
        inner: number;
        scale: number;
        aOffset: number;
        aDtype: Dtype;
        bOffset: number;
        bDtype: Dtype;
        bRowStride?: number | undefined;
        bColumnStride?: number | undefined;
      }
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
  /** Large matrices go to the device that `openSolver` opened; what it cannot do is done here. */
  onDevice?: boolean | undefined;
  sink: number;
  /**
   * A is [rank found, columns], B is [rows, rank found]; there must be room for `rank`. With `bWidth`, rows of B have as
   * many elements, zeros behind the rank.
   */
  aOffset: number;
  bOffset: number;
  bWidth?: number | undefined;
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
  /** Whether a device found the subspace; and why not, where it was asked to and could not. */
  onDevice: boolean;
  refused?: string;
}

/** A matrix of a mapped file: `rows` x `width` elements from `offset` of its source. */
export interface NativeRows {
  source: number;
  offset: number;
  dtype: Dtype;
  rows: number;
  width: number;
}

/** Rotary positions: `width / heads` elements a head, and the base of the frequencies. */
export interface NativeRotary {
  heads: number;
  base: number;
}

/** Rows for tokens that a model does not have; native/transplant/transplant.h says what each of these is. */
export interface NativeTransplant {
  method: string;
  original: NativeRows;
  donor: NativeRows;
  /** Rows of the tokens that both have, in the same order. */
  sharedOriginal: Uint32Array;
  sharedDonor: Uint32Array;
  /** Tokens to approximate, as rows of the donor. */
  targets: Uint32Array;
  /** `subword`: per target where its pieces end; all pieces (rows of the original) and their weights. */
  pieces?: { ends: Uint32Array; rows: Uint32Array; weights: Float64Array } | undefined;
  /** `mp_rope` only. */
  donorRotary?: NativeRotary | undefined;
  originalRotary?: NativeRotary | undefined;
  k: number;
  cosine: boolean;
  weightScheme: string;
  /** Targets at a time. */
  batch: number;
  noise: number;
  scale: number;
  /** Random numbers are keyed by `seed` and `tensor`. */
  seed: number;
  tensor: string;
  /** From `offset` on, a row of the original's width and dtype for each target. */
  sink: number;
  offset: number;
}

/** A stored tensor of floats. The sizes follow from what it is for. */
export interface NativeWeight {
  source: number;
  offset: number;
  dtype: Dtype;
  /** As in `NativeInput`. */
  layout?: NativeInput["layout"];
  /** What an adapter changes in it; all of input 0. */
  patches?: NativePatch[] | undefined;
}

/** A weight of outputs x inputs, one of each kind; biases and norms are vectors. See native/forward/decoder.h. */
export interface NativeLayer {
  attentionNorm: NativeWeight;
  query: NativeWeight;
  key: NativeWeight;
  value: NativeWeight;
  output: NativeWeight;
  queryBias?: NativeWeight;
  keyBias?: NativeWeight;
  valueBias?: NativeWeight;
  outputBias?: NativeWeight;
  /** Of each head. */
  queryNorm?: NativeWeight;
  keyNorm?: NativeWeight;
  mlpNorm: NativeWeight;
  gate: NativeWeight;
  up: NativeWeight;
  down: NativeWeight;
  gateBias?: NativeWeight;
  upBias?: NativeWeight;
  downBias?: NativeWeight;
  /** Positions that a position sees, itself included; 0: all before it. */
  window: number;
}

/** A decoder of the llama kind. */
export interface NativeDecoder {
  width: number;
  heads: number;
  keyHeads: number;
  headSize: number;
  intermediate: number;
  vocabulary: number;
  epsilon: number;
  /** Radians per position for each of the `headSize` / 2 pairs; what sines and cosines are multiplied by. */
  frequencies: readonly number[];
  rotaryScale: number;
  embedding: NativeWeight;
  layers: readonly NativeLayer[];
  /** Needed for log-probabilities only. */
  norm?: NativeWeight;
  head?: NativeWeight;
}

/** Sequences of tokens for a decoder, and what is wanted of them. */
export interface NativeForward extends NativeDecoder {
  /** All sequences, one after the other, and how many tokens each has (at least one). */
  ids: Int32Array;
  lengths: readonly number[];
  states: "none" | "last" | "average";
  logProbabilities: boolean;
  /**
   * What multiplies with the weights, through cuBLAS; else the CPU. `memory`: bytes of the device's memory, else half of
   * what is free. `strict`: where it fails the pass rejects with `DEVICE_FAILED`; else the CPU begins anew.
   */
  device?: NativeForwardDevice | undefined;
}

export interface NativeForwardDevice {
  library?: string | undefined;
  /** The file of cuBLAS, where it is not the system's. */
  cublas?: string | undefined;
  index: number;
  memory?: number | undefined;
  /** Bytes of host memory for copies; undefined: as many as make them fast. */
  pinned?: number | undefined;
  strict: boolean;
}

export interface NativeForwardResult {
  /**
   * What each layer is given, at the last token of each sequence or on the average of its tokens: layers x sequences x
   * width. Empty where `states` is none.
   */
  states: Float32Array;
  /** Of each token given those before it in its sequence, natural logarithm; 0 for the first. Empty where not wanted. */
  logProbabilities: Float64Array;
  /** As in NativeResult. */
  device?: string;
  deviceFailure?: string;
}

/** A matrix in memory, row-major, its rows `stride` elements apart. */
export interface NativeMatrix {
  bytes: Uint8Array | Uint16Array | Float32Array | Float64Array;
  dtype: Dtype;
  rows: number;
  columns: number;
  stride: number;
  transposed: boolean;
}

/** The whole boundary. Handles are numbers; a closed handle is an error, never a crash. */
export interface Addon {
  info(): NativeInfo;
  /**
   * Threads (0: one per CPU), instruction-set level, and bytes of scratch that may grow with tensors beyond what is
   * free (96 MiB). What is not given goes back to its default. Throws while ops are running. `checksums`: false only to
   * measure what they cost; all results then have the same.
   */
  configure(options: { threads?: number; target?: CpuTarget | "auto"; memory?: number; checksums?: boolean }): void;
  /** Maps a file read-only. @returns a source handle. */
  openSource(path: string): { handle: number; size: number };
  /**
   * Creates a file of `size` bytes, its blocks reserved on the disk. `durable`: it will be synced, so that writing to the
   * disk starts with the first byte, around the page cache where a short trial finds that faster.
   * @returns a sink handle. @throws `SINK_EXISTS` where the path exists, `NO_SPACE` where the disk is too small.
   */
  createSink(path: string, size: number, durable?: boolean): number;
  /**
   * Opens a file that is there to go on writing it, in `size` bytes: what it has within them stays.
   * @returns a sink handle.
   */
  openSink(path: string, size: number, durable?: boolean): number;
  writeSink(sink: number, offset: number, bytes: Uint8Array): void;
  /** Waits for the disk to have every byte (unless `sync` is false), then closes the file. */
  commitSink(sink: number, sync: boolean): Promise<void>;
  /**
   * Creates the file where it is not there, and locks it until `close` or the end of the process.
   * @returns a handle. @throws `LOCKED` where another process has it.
   */
  lock(path: string): number;
  /**
   * SHA-256 of a whole file in hexadecimal; several at once where there are several CPUs. `portable`: without the CPU's
   * own instructions, which give the same. `cancel` ends it.
   */
  sha256(path: string, portable?: boolean): Promise<string>;
  /** Releases a source, a lock, or a sink without committing it. */
  close(handle: number): void;
  /** Queues one op. Rejects with a NativeError. Ops run in the order they were queued, several at a time. */
  merge(op: NativeOp): Promise<NativeResult>;
  /** The same without writing anything: the checksums of what `merge` would write. */
  checksum(op: Omit<NativeOp, "sink" | "offset" | "crc32"> & { crc32?: boolean }): Promise<NativeResult>;
  /**
   * Compares tensors v_1 … v_n with a base, the first input, without writing anything; d_i = v_i - base.
   * @param op.rows the first dimension, for inputs that gather rows.
   * @returns for each i: sum of d_i², sum of d_i d_1, number of d_i that are not zero; then the number of elements where
   * some of d_2 … d_n are not zero, and the number of those where their signs disagree; then the sum of squares of each
   * input, and the number of elements of v_1 that are a NaN or an infinity.
   */
  compare(op: {
    inputs: NativeInput[];
    patches?: NativePatch[] | undefined;
    count: number;
    rows?: number;
  }): Promise<Float64Array>;
  /**
   * How tensors a and b differ, and how both differ from a base, the third input where there is one; d = b - a,
   * p = a - base, q = b - base. Elements where an input is a NaN or an infinity are counted and else left out.
   * @param op.rows the first dimension, for inputs that gather rows; 1 for a 0-d tensor.
   * @param op.thresholds at most 8, none negative.
   * @returns a.a, b.b, a.b, d.d; how many d are not zero, a and b not finite; how many |d| exceed each threshold; with a
   * base: base.base, p.p, q.q, p.q, how many of the base are not finite, p not zero, q not zero, one of them not zero,
   * p and q of opposite signs. Last the largest |d|.
   */
  difference(op: {
    inputs: NativeInput[];
    patches?: NativePatch[] | undefined;
    count: number;
    rows: number;
    thresholds: readonly number[];
  }): Promise<Float64Array>;
  /**
   * Opens cuSOLVER for decompositions.
   * @param folder where its libraries are looked for before the places that the system's loader knows; may be empty.
   * @param device counted from 0.
   * @returns versions and device, for people. @throws `NO_SOLVER` where there is none, `SOLVER_FAILED` where it does not open.
   */
  openSolver(folder: string, device: number): string;
  /** Truncated singular value decomposition (native/linear/svd.h). Starts at once, on threads of its own. */
  decompose(task: NativeDecomposition): Promise<NativeFactors>;
  /** Approximates and writes rows; transplants run one after the other. Rejects with a NativeError. */
  transplant(job: NativeTransplant): Promise<{
    /** CPU time of matrix products, all threads together, and how many multiply-adds those were: for measuring. */
    productSeconds: number;
    multiplyAdds: number;
  }>;
  /** Steps done and steps in all (0 until known) of the transplant that was started last. */
  transplantProgress(): [done: number, total: number];
  /** @returns by row of the embedding: 1 where it looks trained. `unused`: rows that no token has, or none is used. */
  wellTrained(embedding: NativeRows, head: NativeRows | undefined, unused: Uint32Array): Promise<Uint8Array>;
  /**
   * Rows of a matrix of floats as float32, row-major, in the order of `ids`. At once: for the rows of a few prompts (a
   * matrix whose columns an adapter gives lengths is read as a whole).
   * @throws `SOURCE_FAILED` where the file shrank.
   */
  gatherRows(matrix: NativeWeight & { rows: number; columns: number; ids: Int32Array }): Float32Array;
  /**
   * Routing vectors of experts (native/numeric/routing.h): [layers, experts, width] `gates` of norm 1, the `cosines`
   * between those of a layer, [layers, experts, experts], and the `condition` of each layer.
   * @param given.vectors [layers, prompts, width]. Experts name prompts by number. `part` is what becomes of an expert's
   * positive prompts, and of its negative ones: their mean, or the direction of their sum.
   */
  route(given: {
    vectors: Float32Array;
    layers: number;
    width: number;
    experts: { positive: Int32Array; negative: Int32Array }[];
    part: "mean" | "direction";
  }): { gates: Float64Array; cosines: Float64Array; condition: Float64Array };
  /**
   * Runs sequences through a decoder, whose files must stay open until then. Rejects with a NativeError. Float32 work:
   * results depend on the instruction set in their last places, not on threads.
   */
  forward(request: NativeForward): Promise<NativeForwardResult>;
  /** `c` = `alpha` a b + `beta` c in float32, in place; for measuring and testing matrix products. */
  multiply(product: { a: NativeMatrix; b: NativeMatrix; c: Float32Array; alpha: number; beta: number }): void;
  /** Float32 operations a second that multiply-adds in registers reach on all worker threads. Takes a second. */
  peakRate(): number;
  /** Rates of copies to a device, back, and within the host's memory, in bytes a second. Takes a tenth of a second. */
  measureTransfers(device: number, library?: string): { upload: number; download: number; copy: number };
  /**
   * Opens the library for accelerators and, of its devices, those that are wanted: each takes memory there and a moment,
   * and one that another process has to itself is not to be had. Of the others nothing is told but that they exist.
   * @param library its file, where it is not the one beside the addon.
   * @param wanted numbers of devices, whether they exist or not; undefined: all.
   * @param cufile cuFile's file, which is opened, too (empty: the one that the system finds); undefined: it is left alone.
   */
  devices(library?: string, wanted?: readonly number[], cufile?: string): NativeDevices;
  /**
   * What ops with `device` run on from now on; without an argument: the CPU. `memory`: bytes of each device's memory, else
   * most of what is free. `pinned`: bytes of host memory for copies, for each device. `strict`: an op that a device gives
   * up rejects with `DEVICE_FAILED`; else the CPU computes it. Throws while ops are running there.
   */
  useDevices(use?: {
    library?: string | undefined;
    devices: number[];
    memory?: number | undefined;
    pinned?: number | undefined;
    /** When files are read straight into its memory; `auto` unless given: where that is found to be faster. */
    direct?: DirectUse | undefined;
    /** cuFile's file; undefined: the one that the system finds. */
    cufile?: string | undefined;
    strict: boolean;
  }): void;
  /**
   * Bytes that ops which have not settled read and write, by how far the CPU has come with each: an estimate, for progress
   * within large tensors. Of devices nothing is known before an op ends.
   */
  underway(): number;
  /** Makes every op, forward pass and transplant that has not finished reject with `CANCELLED`. */
  cancel(): void;
}

/** What the addon throws and rejects with. `source` is the input's index in the op, where one is to blame; the factors of patches count on from there. */
export interface NativeError extends Error {
  code:
    | "SOURCE_OPEN"
    | "SOURCE_FAILED"
    | "SINK_EXISTS"
    | "SINK_OPEN"
    | "LOCKED"
    | "NO_MEMORY"
    | "NO_SPACE"
    | "NO_SOLVER"
    | "SOLVER_FAILED"
    | "SINK_WRITE"
    | "BAD_ARGUMENT"
    | "DEVICE_FAILED"
    | "CANCELLED";
  source?: number;
}

let loaded: Addon | undefined;

/**
 * The addon, loaded on first use: the release build (which a single executable holds within itself), else the package
 * for this platform that was installed along. The environment variable `SINTER_ADDON` names another file
 * (`scripts/sanitize.ts` tests another build with it).
 * @throws where there is none or it does not load, with what to do.
 */
export function native(): Addon {
  loaded ??= load();
  return loaded;
}

/** Bundlers see what is embedded by its literal path only. */
function load(): Addon {
  const other = process.env.SINTER_ADDON;
  try {
    if (other) return require(other);
    return require("../build/Release/sinter.node");
  } catch (error) {
    const found = other ? undefined : (addonFromMemory() ?? (isMissing(error) ? prebuiltAddon() : undefined));
    if (found !== undefined) return found;
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `the native addon does not load: ${reason}\n` +
        `  → in a checkout, build it: bun run build; as a package, install ${PLATFORM_PACKAGE} along with sinter`,
    );
  }
}

/** The package that holds the addon for this system and processor. */
const PLATFORM_PACKAGE = `sinter-${process.platform}-${process.arch}${process.platform === "linux" ? "-gnu" : ""}`;

function prebuiltAddon(): Addon | undefined {
  try {
    return require(PLATFORM_PACKAGE);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "MODULE_NOT_FOUND";
}
