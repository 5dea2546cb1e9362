import { Report, SinterError } from "../errors.ts";
import { type Addon, native } from "../native.ts";
import { checkTokens, type Decoder } from "./decoder.ts";
import { runDecoder } from "./run.ts";
import type { ForwardOptions } from "./types.ts";

/**
 * For each sequence, log p(token | tokens before it) of each of its tokens, natural logarithm; 0 for the first.
 * @throws SinterError where the model has no head or `hiddenStates` would throw; before any work.
 */
export async function logProbabilities(
  decoder: Decoder,
  sequences: readonly Int32Array[],
  options: ForwardOptions = {},
  addon: Addon = native(),
): Promise<Float64Array[]> {
  requireHead(decoder);
  const report = new Report();
  checkTokens(decoder, sequences, report);
  report.throwIfErrors();
  const found: Float64Array[] = [];
  const wanted = { states: "none", logProbabilities: true } as const;
  await runDecoder(decoder, sequences, wanted, addon, options, (result, _, chunk) => {
    let at = 0;
    for (const ids of chunk) {
      found.push(result.logProbabilities.slice(at, at + ids.length));
      at += ids.length;
    }
  });
  return found;
}

/** @throws SinterError where the model has no output head. */
export function requireHead(decoder: Decoder): void {
  if (decoder.weights.head !== undefined) return;
  throw new SinterError({
    code: "no-head",
    message: "the model has no output head, so that it gives no probabilities of tokens",
    model: decoder.name,
    hint: "name a model for causal language modelling (…ForCausalLM)",
  });
}
