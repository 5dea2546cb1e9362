import type { FloatDtype } from "../model/dtype.ts";
import type { WeightRole } from "./types.ts";

/** A family as `architectures/*.json` describes it; `architectures/schema.json` says what each key means. */
export interface FamilyDefinition {
  model_types: readonly string[];
  architectures: readonly [string, ...string[]];
  config: {
    vocab_size: Keys;
    tie: Keys;
    defaults: Readonly<Record<string, ConfigScalar>>;
  };
  modules: Readonly<Record<string, ModuleTemplate | EmbeddedModule>>;
  by_name?: readonly string[];
  files?: readonly string[];
}

/** One key of config.json, or several of which the first that is there counts. */
export type Keys = string | readonly [string, ...string[]];

/** A number, or the key of config.json that holds it (or a list with so many entries), with `+1` or `-1` behind it. */
export type Count = number | Keys;

/** A part of a model. Names are templates: see `template.ts`. */
export interface ModuleTemplate {
  layer_count?: Count;
  per_layer?: readonly string[];
  layer_numbers?: readonly string[];
  prefixes?: readonly [Prefix, ...Prefix[]];
  subfolder?: string;
  loops?: Readonly<Record<string, Count>>;
  before?: readonly WeightEntry[];
  layer?: readonly WeightEntry[];
  after?: readonly WeightEntry[];
  when?: Condition;
}

/** A part of a model that is itself a model of another family, described by a part of config.json. */
export interface EmbeddedModule {
  family: string;
  config: Keys;
  prefixes: readonly [Prefix, ...Prefix[]];
  head?: Condition;
  when?: Condition;
}

/** What `${prefix}` stands for, and what stands before names without it. */
export type Prefix = string | { prefix: string; outside: string };

/** A bare name, a name with more to say about it, or several of either under one condition. */
export type WeightEntry = string | DetailedWeight | WeightGroup;

export interface DetailedWeight {
  name: string;
  aliases?: readonly string[];
  tie?: string;
  role?: WeightRole;
  optional?: boolean;
  buffer?: boolean;
  dtype?: FloatDtype;
  packed?: Packed;
  when?: Condition;
}

/** Where another layout of the family stores the weight: within a larger tensor. */
export interface Packed {
  name: string;
  aliases?: readonly string[];
  part?: number;
  parts?: readonly Count[];
  only?: boolean;
}

export interface WeightGroup {
  when: Condition;
  weights: readonly WeightEntry[];
  else?: readonly WeightEntry[];
}

export type ConfigScalar = string | number | boolean | null;

/** What keys of config.json must hold, all of them; of several such objects any one. */
export type Condition = Requirements | readonly Requirements[];

export type Requirements = Readonly<Record<string, Requirement>>;

/** A value, any of several values, or a comparison. */
export type Requirement = ConfigScalar | readonly ConfigScalar[] | Comparison;

/** All that are given must hold. Numbers may be keys of config.json; negative ones count from the number of layers. */
export interface Comparison {
  not?: ConfigScalar | readonly ConfigScalar[];
  from?: Count;
  to?: Count;
  below?: Count;
  multiple_of?: Count;
  in?: Keys;
  not_in?: Keys;
}
