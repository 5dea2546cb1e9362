import type { FloatDtype } from "../model/dtype.ts";
import type { TensorView } from "../model/types.ts";

/** What a weight is for. An embedding or a head has one row per token of the vocabulary. */
export type WeightRole = "embedding" | "head";

/** One logical weight of an architecture. Names are final: prefixes and layer numbers are filled in. */
export interface WeightSpec {
  name: string;
  /**
   * What the weight is, whatever the prefix, the number of its layer and the checkpoint's spelling of it: the same for
   * counterparts in two models of a family.
   */
  key: string;
  /** Other names for the same tensor in other checkpoints. */
  aliases: readonly string[];
  /** The weight this one shares storage with where it is not stored: a tensor that need not exist. */
  tie?: string | undefined;
  role?: WeightRole | undefined;
  /** May be absent from every input; then the output has none either. */
  optional: boolean;
  /** A constant of the model's class that old checkpoints store: copied as it is, never merged. */
  buffer?: boolean | undefined;
  /** Index within the module's layers; undefined before and after them. */
  layer?: number | undefined;
  /** Where it lies within a larger tensor, in a model that stores it so. */
  packing?: Packing | undefined;
  /** What it is written in, whatever the configuration's dtype. */
  dtype?: FloatDtype | undefined;
}

/** A part of a larger tensor that lies in one piece: first one entry of the first dimension, then some of the rows. */
export interface Packing {
  /** The larger tensor, under any of its names. */
  names: readonly string[];
  /** The entry of the first dimension, which has `count`. */
  entry?: { index: number; count: number } | undefined;
  /** Of the rows that are left, those from `from / of` to `to / of`. */
  rows?: { from: number; to: number; of: number } | undefined;
}

/** A part of a model that can be merged on its own (`default` where there is only one). */
export interface ModuleSpec {
  name: string;
  /** The family that describes it: another than the architecture's where a model is part of a larger one. */
  family: string;
  /** The folder within the model's that holds it; undefined: the model's own. */
  subfolder?: string | undefined;
  before: readonly WeightSpec[];
  layers: readonly (readonly WeightSpec[])[];
  after: readonly WeightSpec[];
}

/** How a family, declared in `architectures/*.json`, looks for one config.json. */
export interface Architecture {
  /** The family's file name without `.json`, e.g. `qwen2`. */
  family: string;
  /** The model's class as the family sees it: `architectures[0]`, or the family's usual class where it knows no such. */
  architecture?: string | undefined;
  modules: readonly ModuleSpec[];
  /** Dotted keys of config.json. */
  keys: {
    /** Number of layers, per module name. */
    layerCount: Readonly<Record<string, string>>;
    vocabSize: string;
    tie: string;
    /** Per module name, keys whose value is a list with one entry per layer (`layer_types`). */
    perLayer: Readonly<Record<string, readonly string[]>>;
    /** Per module name, keys whose value is a list of numbers of layers (`mlp_only_layers`). */
    layerNumbers: Readonly<Record<string, readonly string[]>>;
  };
  /** Whether config.json (or the family's default, where the key is absent) says that the head is tied. */
  tied: boolean;
  layout: WeightLayout;
  /** Names of stored tensors that belong to the model although no module lists them. `*` stands for any text. */
  byName: readonly string[];
  /** Files that belong to the model besides its weights and its tokenizer. `*` stands for any text. */
  files: readonly string[];
}

/**
 * How weights are stored that a family stores in two ways, several in one tensor or each in its own: `packed` or
 * `separate`; `split` where they are packed and taken apart here; undefined where there is only one way.
 * `fixed` where the model's class loads no other layout.
 */
export interface WeightLayout {
  kind: "packed" | "separate" | "split" | undefined;
  fixed: boolean;
}

/** How a spec was found in one model. */
export interface Resolution {
  view: TensorView;
  /** The stored tensor's name. */
  name: string;
  via: "own" | "alias" | "tie" | "part";
}
