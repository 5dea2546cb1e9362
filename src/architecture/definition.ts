import type { WeightRole } from "./types.ts";

/** A family as `architectures/*.json` describes it; `architectures/schema.json` says what each key means. */
export interface FamilyDefinition {
  model_types: readonly string[];
  architectures: readonly [string, ...string[]];
  config: {
    vocab_size: string;
    tie: string;
    defaults: Readonly<Record<string, ConfigScalar>>;
  };
  modules: Readonly<Record<string, ModuleTemplate>>;
  ignored?: readonly string[];
}

/** A part of a model with layers of its own. Names are templates: see `template.ts`. */
export interface ModuleTemplate {
  layer_count: string;
  per_layer?: readonly string[];
  prefixes?: readonly [string, ...string[]];
  before: readonly WeightTemplate[];
  layer: readonly WeightTemplate[];
  after: readonly WeightTemplate[];
}

/** A bare name, or a name with more to say about it. */
export type WeightTemplate = string | DetailedWeight;

export interface DetailedWeight {
  name: string;
  aliases?: readonly string[];
  tie?: string;
  role?: WeightRole;
  optional?: boolean;
  when?: Condition;
}

export type ConfigScalar = string | number | boolean | null;

/** Values that keys of config.json must have, all of them; a list means any of its values. */
export type Condition = Readonly<Record<string, ConfigScalar | readonly ConfigScalar[]>>;
