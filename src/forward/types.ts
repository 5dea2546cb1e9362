import type { Architecture } from "../architecture/types.ts";
import type { Model } from "../model/types.ts";
import type { NativeForwardDevice } from "../native.ts";

/** A model folder and how it is understood: what `understandModel` gives. */
export interface ForwardModel {
  model: Model;
  architecture: Architecture;
}

/** The last token's state, or the average over all tokens of a sequence. */
export type StateMode = "last" | "average";

/**
 * What each layer of a model is given (the residual stream before its norm; `hidden_states[layer]` of Transformers), one
 * vector for each sequence: `values[(layer * sequences + sequence) * width + i]`.
 */
export interface HiddenStates {
  layers: number;
  sequences: number;
  width: number;
  values: Float32Array;
}

export interface RunOptions {
  /** Stops the pass; the promise rejects with its reason. */
  signal?: AbortSignal | undefined;
  /** Called now and then with the number of tokens that are done. */
  onTokens?: ((done: number) => void) | undefined;
  /** Multiplies with the weights; else the CPU. */
  device?: NativeForwardDevice | undefined;
  /** Called once with the reason, where a device that is not strict failed: the CPU does what is left. */
  onDeviceFailure?: ((reason: string) => void) | undefined;
}
