import type { NamedModel } from "../config/types.ts";
import type { Position } from "../errors.ts";
import type { FloatDtype } from "../model/dtype.ts";
import type { MergeOptions } from "../plan/types.ts";

/** Where routing vectors come from. */
export type GateMode = "hidden_last" | "hidden_avg" | "cheap_embed" | "random" | "uniform_random";

/** One expert: whose feed-forward weights it has, and which prompts it is for. */
export interface Expert {
  model: NamedModel;
  at: Position;
  positive: readonly string[];
  negative: readonly string[];
  /** Standard deviation of normal noise that is added to its weights; 0 for none. */
  noise: number;
  /** Factor of what it adds to the residual stream. */
  residual: number;
}

/** A validated configuration of `sinter moe`. */
export interface MixtureConfig {
  /** The path as given and the text as read. */
  file: string;
  text: string;
  at: Position;
  baseModel: NamedModel;
  experts: readonly Expert[];
  shared: readonly Expert[];
  gateMode: GateMode;
  dtype: FloatDtype | undefined;
  expertsPerToken: number;
  /** The start of the name of a mixture's architecture; undefined: the first that fits. */
  architecture: { name: string; at: Position } | undefined;
}

/** Whether routers are random numbers, and prompts are for nothing. */
export function isRandom(mode: GateMode): boolean {
  return mode === "random" || mode === "uniform_random";
}

export interface MixtureOptions extends MergeOptions {
  /** Each expert's weights in tensors of their own, or those of all experts in one. */
  expertLayout: "separate" | "packed";
}
