import type { Resolution } from "../architecture/types.ts";
import type { FloatDtype } from "../model/dtype.ts";
import type { TensorView } from "../model/types.ts";

/** What an extraction is to keep. */
export interface ExtractOptions {
  /** Most singular values of a module. */
  maxRank: number;
  /** The share of a module's energy that decides its rank; undefined: as many as `maxRank` says. */
  energy: number | undefined;
  /** Singular values at or below are left out. */
  svEpsilon: number;
  /** The square roots of the singular values go to both factors; else all of them to A. */
  distributeScale: boolean;
  /** Embeddings and heads are decomposed, not saved whole. */
  embedLora: boolean;
  /** Modules that are saved whole: names, or the last parts of names. */
  saveModules: readonly string[];
  exclude: readonly RegExp[];
  include: readonly RegExp[];
  /** Modules that have no factors (norms) are left out, not saved whole. */
  skipUndecomposable: boolean;
  /** How the changes of biases are written: whole biases, as PEFT loads them, or differences, as mergekit writes them. */
  biases: "whole" | "difference";
  /** What factors are stored as; undefined: as the model's weight. */
  dtype: FloatDtype | undefined;
  seed: number;
}

/** A tensor of the fine-tune and its counterpart in the base. */
export interface Pair {
  /** The weight's name, as the class has it. */
  name: string;
  tuned: TensorView;
  /** The stored tensors' names, for messages. */
  tunedName: string;
  base: TensorView;
  baseName: string;
  /** How the base has it: a head may follow its embedding there. */
  baseVia: Resolution["via"];
}

/** A module whose difference becomes factors. */
export interface DecomposedModule {
  /** The weight's name without `.weight`. */
  path: string;
  weight: Pair;
  bias: Pair | undefined;
  /** An embedding: its factors are those of the transposed difference, under other names. */
  isEmbedding: boolean;
  /** The weight is stored as [inputs, outputs]. */
  isTransposed: boolean;
  /**
   * Experts, which loaders put into one tensor: modules with the same word here come to the same rank. `parameter`: they
   * are one in the model already, and have one pair of factors, in PEFT's layout for parameters.
   */
  together?: { word: string; parameter?: ExpertsEntry | undefined } | undefined;
}

/** One expert's part of a parameter of three dimensions. */
export interface ExpertsEntry {
  /** Of the module that has the parameter. */
  path: string;
  /** The parameter's name in it. */
  name: string;
  entry: number;
  count: number;
}

/** A tensor of the fine-tune that goes into the adapter as it is. */
export interface SavedTensor {
  name: string;
  view: TensorView;
  tunedName: string;
  /** With its counterpart in the base; undefined where that has none. */
  pair: Pair | undefined;
}

/** What an extraction will look at, settled before anything is computed. */
export interface ExtractionPlan {
  modules: readonly DecomposedModule[];
  /** Tensors that are saved whole. */
  saved: readonly SavedTensor[];
  /** Names for `modules_to_save`. */
  modulesToSave: readonly string[];
  /** Weights that an adapter cannot hold, and that are left out. */
  leftOut: readonly string[];
  fanInFanOut: boolean;
  /** The fine-tune has other numbers of tokens than the base. */
  grown: boolean;
  /** A tied head was saved, or the embedding that it follows: the tie holds for what was saved. */
  tied: boolean;
}

/** What became of one module. */
export interface ExtractedModule {
  path: string;
  rank: number;
  /** Squared norms of the difference and of what the factors keep of it. */
  energy: number;
  kept: number;
  iterations: number;
  /** Whether a device found its singular vectors; and why not, where it was asked to and could not. */
  onDevice: boolean;
  refused: string | undefined;
  /** Where the factors lie in the file that holds all of them. */
  a: TensorView;
  b: TensorView;
  together?: DecomposedModule["together"];
}
