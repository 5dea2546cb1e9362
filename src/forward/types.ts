import type { Architecture } from "../architecture/types.ts";
import type { Model } from "../model/types.ts";

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
}
