import type { Position } from "../errors.ts";
import type { FloatDtype } from "../model/dtype.ts";
import type { ModelRef } from "../model/ref.ts";

/** A number, or a truth value (1 or 0 where a number is wanted). Numeric text was turned into a number on reading. */
export type Scalar = number | boolean;

/** A scalar, or a gradient: values spread evenly over the layers of a slice and interpolated between. */
export type ScalarOrGradient = Scalar | readonly Scalar[];

/** One line of a filtered parameter. Without `filter`, or with `*`, it matches every tensor. */
export interface ConditionalValue {
  filter?: string | undefined;
  value: ScalarOrGradient;
}

/** A parameter as written at one level: a plain value is a list of one unconditional line. First match wins. */
export interface Parameter {
  lines: readonly ConditionalValue[];
  at: Position;
}

export type Parameters = ReadonlyMap<string, Parameter>;

/** A model named in the configuration, and where. */
export interface NamedModel {
  ref: ModelRef;
  at: Position;
}

export interface InputModel {
  model: NamedModel;
  parameters: Parameters;
}

/** Layers `[start, end)` of one model. */
export interface InputSlice {
  model: NamedModel;
  layerRange: readonly [number, number];
  /** Where the layer range stands. */
  at: Position;
  parameters: Parameters;
}

export interface OutputSlice {
  sources: readonly InputSlice[];
  baseModel?: NamedModel | undefined;
  parameters: Parameters;
  at: Position;
}

/** What a module (or the whole model) is made of. */
export type Composition =
  | { kind: "models"; models: readonly InputModel[] }
  | { kind: "slices"; slices: readonly OutputSlice[] };

export interface ModuleDefinition {
  composition: Composition;
  parameters: Parameters;
  at: Position;
}

export type TokenSource =
  | { kind: "model"; model: NamedModel }
  | { kind: "model_token"; model: NamedModel; token: string | number }
  | { kind: "zero" };

export interface TokenOverride {
  source?: TokenSource | undefined;
  force: boolean;
}

/** From `tokenizer_source` (then `tokens` is empty) or `tokenizer`. */
export interface TokenizerConfig {
  source: "union" | "base" | NamedModel;
  tokens: ReadonlyMap<string, TokenOverride>;
  padToMultipleOf?: number | undefined;
  at: Position;
}

/** A validated merge configuration. Everything a later step reports about it carries a `Position` from here. */
export interface MergeConfig {
  /** The path as given and the text as read. */
  file: string;
  text: string;
  mergeMethod: string;
  mergeMethodAt: Position;
  baseModel?: NamedModel | undefined;
  dtype?: FloatDtype | undefined;
  outDtype?: FloatDtype | undefined;
  parameters: Parameters;
  tokenizer?: TokenizerConfig | undefined;
  chatTemplate?: { text: string; at: Position } | undefined;
  /** `modules:` by name; `models:` and `slices:` at the top level stand here as the whole model. */
  body:
    | { kind: "whole"; composition: Composition }
    | { kind: "modules"; modules: ReadonlyMap<string, ModuleDefinition> };
}
