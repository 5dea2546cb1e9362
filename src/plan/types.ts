import type { Problem } from "../errors.ts";
import type { Scratch } from "../methods/types.ts";
import type { Dtype } from "../model/dtype.ts";
import type { InputFile, TensorView } from "../model/types.ts";

/** Rows that an input of an op reads instead of those of its own tensor in their order. */
export interface RowGather {
  /** Tensors that rows come from; their rows are counted from 0 through all of them. */
  pieces: readonly Pick<OpInput, "view" | "model" | "tensor">[];
  /**
   * For each row of the output its number among those of the pieces; or a code: -1 zeros, -2 the mean of all rows that
   * have not this code (padding), -3 - i the mean of the rows that `mixes` lists from `mixes[i]`, which is how many they are.
   */
  rows: Int32Array;
  mixes: Int32Array;
}

/** One input of an op: where its bytes lie, whose they are, and its place in the recipe. */
export interface OpInput {
  view: TensorView;
  /** Display name of the model, and the stored tensor's name: for messages. */
  model: string;
  tensor: string;
  /** Position of the source in the recipe: tells random streams apart. */
  position: number;
  /** Where its rows come from, where they are not those of `view` in their order. */
  gather?: RowGather | undefined;
}

/** Parameters by name, gradients and filters evaluated. */
export type AppliedValues = Readonly<Record<string, number | boolean | undefined>>;

/** One output tensor: method, plain numbers, input views, place in a sink. */
export interface MergeOp {
  /** Output name; where it lies in a folder of its own, that folder's name and a slash come first. */
  tensor: string;
  /** The folder within the output that holds the tensor; undefined: the output folder itself. */
  folder?: string | undefined;
  dtype: Dtype;
  shape: readonly number[];
  /** Index into `MergePlan.shards`, and the byte offset from the start of that file. */
  shard: number;
  offset: number;
  kernel: string;
  inputs: readonly OpInput[];
  params: readonly number[];
  /** The tensor's elements, where the plan has them itself (kernel `literal`); then there are no `params`. */
  values?: Float64Array | undefined;
  /** The output tensor whose random numbers this one draws, where it is not `tensor`: a stored copy of a tied weight. */
  randomAs?: string | undefined;
  /**
   * The method's parameters as they were evaluated for this tensor: those of each input, in the order of `inputs`, and
   * those of the whole. For reports: `params` is what decides.
   */
  applied?: { inputs: readonly AppliedValues[]; parameters: AppliedValues } | undefined;
  /** What native code keeps in memory for this op; undefined where that is little. */
  scratch?: Scratch | undefined;
}

/** One output file: its exact size and the bytes before the first tensor are known before any compute. */
export interface ShardPlan {
  /** Final name, e.g. `model-00001-of-00002.safetensors`; with a folder and a slash before it where it has one. */
  file: string;
  /** Whole file in bytes. */
  size: number;
  format: "safetensors" | "torch";
  /** Indices into `MergePlan.ops`, in the order of their offsets. */
  ops: readonly number[];
}

/** A side file of the output: copied from an input, or text made here. */
export type SideFile = { name: string; from: string } | { name: string; text: string };

/** What a plan was made from, so that it can be made again: data that goes into the output's manifest. */
export interface Recipe {
  /** Which program reads the text. */
  program: "merge" | "multi" | "raw" | "fill" | "moe" | "transplant";
  /** A configuration in normal form: every default spelt out. */
  text: string;
  options: Pick<
    MergeOptions,
    "seed" | "outShardSize" | "safeSerialization" | "lmHead" | "allowCrimes" | "copyTokenizer" | "writeModelCard"
  > & {
    /** `raw`: what becomes of tensors that not all models have. */
    tensors?: RawTensors | undefined;
    /** `moe`: how the experts of a layer are stored. */
    expertLayout?: "separate" | "packed" | undefined;
    /** Adapters were applied in a cache beforehand: the dtype that copies were asked for in, or `model`, each one's own. */
    loraCache?: string | undefined;
  };
}

/** Tensors that not all models have: an error, left out, or merged of those that have them. */
export type RawTensors = "all" | "intersection" | "union";

/** All ops and the exact byte layout of every output file. Pure data; printable, hashable. */
export interface MergePlan {
  method: string;
  /** Seed of the random masks. */
  seed: number;
  /** Display names of all models, in the order of the recipe, base included. */
  models: readonly string[];
  baseModel: string | undefined;
  /** Models of the recipe that are themselves the output of a plan, with its hash. */
  madeInputs?: readonly { model: string; plan: string }[] | undefined;
  /** What the plan was made from; undefined where nothing can make it again. */
  recipe?: Recipe | undefined;
  /** Every input file with its size, in the order of first use. */
  inputFiles: readonly InputFile[];
  ops: readonly MergeOp[];
  shards: readonly ShardPlan[];
  /** `model.safetensors.index.json` or its torch counterpart; undefined for a single shard. */
  index: { name: string; text: string } | undefined;
  /** config.json, tokenizer files, card, configuration: everything but weights and the index. */
  sideFiles: readonly SideFile[];
  totals: {
    tensors: number;
    parameters: number;
    bytesRead: number;
    bytesWritten: number;
  };
  /** Output names of weights that are tied and therefore not stored, with what they follow. */
  tied: readonly { tensor: string; follows: string }[];
  /** Where the tokenizer is built for the merge. */
  vocabulary?: VocabularySummary | undefined;
  warnings: readonly Problem[];
  /** Tensors whose last bits depend on the machine, and why: everything else has the same bytes everywhere. */
  varies?: string | undefined;
}

/** What became of the models' vocabularies, in numbers. */
export interface VocabularySummary {
  /** The output's tokens, and the rows beyond them. */
  tokens: number;
  padding: number;
  /** By model: how many of the output's tokens it has itself. */
  own: readonly { model: string; tokens: number }[];
}

/** Everything besides the configuration that decides what a merge does. */
export interface MergeOptions {
  /** Mix architectures as far as shapes allow. */
  allowCrimes: boolean;
  copyTokenizer: boolean;
  writeModelCard: boolean;
  safeSerialization: boolean;
  /** Most bytes of tensor data per shard. */
  outShardSize: number;
  seed: number;
  lmHead: "auto" | "tied" | "materialize";
  /** Unknown keys and parameters are errors. */
  strict: boolean;
  /** Folder that holds the Hugging Face cache's `models--…` folders, if not the environment's. */
  cacheDir: string | undefined;
  /** The user's definitions of families: a file or a folder, besides those in the folder for configurations. */
  architectures?: string | undefined;
}

export const DEFAULT_OPTIONS: MergeOptions = {
  allowCrimes: false,
  copyTokenizer: true,
  writeModelCard: true,
  safeSerialization: true,
  outShardSize: 5_000_000_000,
  seed: 0,
  lmHead: "auto",
  strict: false,
  cacheDir: undefined,
};
