import type { TensorView } from "../model/types.ts";

/** What a weight is for. An embedding or a head has one row per token of the vocabulary. */
export type WeightRole = "embedding" | "head";

/** One logical weight of an architecture. Names are final: prefixes and layer numbers are filled in. */
export interface WeightSpec {
  name: string;
  /** Other names for the same tensor in other checkpoints. */
  aliases: readonly string[];
  /** The weight this one shares storage with where it is not stored: a tensor that need not exist. */
  tie?: string | undefined;
  role?: WeightRole | undefined;
  /** May be absent from every input; then the output has none either. */
  optional: boolean;
  /** Index within the module's layers; undefined before and after them. */
  layer?: number | undefined;
}

/** A part of a model that can be merged on its own (`default` where there is only one). */
export interface ModuleSpec {
  name: string;
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
    /** Keys whose value is a list with one entry per layer (`layer_types`); rebuilt from the layers taken. */
    perLayer: readonly string[];
  };
  /** Whether config.json (or the family's default, where the key is absent) says that the head is tied. */
  tied: boolean;
  /** Names (regular expressions) of stored tensors that are known and not merged: old buffers. */
  ignored: readonly RegExp[];
}

/** How a spec was found in one model. */
export interface Resolution {
  view: TensorView;
  /** The stored tensor's name. */
  name: string;
  via: "own" | "alias" | "tie";
}
