import { Report } from "../errors.ts";
import { type Addon, native } from "../native.ts";
import { checkTokens, type Decoder } from "./decoder.ts";
import { runDecoder } from "./run.ts";
import type { HiddenStates, RunOptions, StateMode } from "./types.ts";

/**
 * Runs all sequences through a decoder and keeps what each layer is given. A sequence's states do not depend on the
 * others: none is padded. Nothing is read of the last layer and the head.
 * @param sequences ids of tokens, at least one for each.
 * @throws SinterError where there are no sequences, one is empty, or an id is beyond the vocabulary; before any work.
 */
export async function hiddenStates(
  decoder: Decoder,
  sequences: readonly Int32Array[],
  mode: StateMode,
  options: RunOptions = {},
  addon: Addon = native(),
): Promise<HiddenStates> {
  const report = new Report();
  checkTokens(decoder, sequences, report);
  report.throwIfErrors();
  const layers = decoder.weights.layers.length;
  const { width } = decoder.shape;
  const values = new Float32Array(layers * sequences.length * width);
  const wanted = { states: mode, logProbabilities: false } as const;
  await runDecoder(decoder, sequences, wanted, addon, options, ({ states }, first, chunk) => {
    const row = chunk.length * width;
    for (let layer = 0; layer < layers; layer++) {
      values.set(states.subarray(layer * row, (layer + 1) * row), (layer * sequences.length + first) * width);
    }
  });
  return { layers, sequences: sequences.length, width, values };
}
