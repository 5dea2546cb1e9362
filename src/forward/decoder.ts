import type { Report } from "../errors.ts";
import { type Rotary, type RotaryOf, rotaryOf } from "./rotary.ts";
import { type DecoderShape, decoderShape, forwardFamily } from "./shape.ts";
import type { ForwardModel } from "./types.ts";
import { type DecoderWeights, decoderWeights } from "./weights.ts";

/** A model as its forward pass sees it. Pure data: no tensor was read. */
export interface Decoder {
  /** Display name of the model. */
  name: string;
  shape: DecoderShape;
  weights: DecoderWeights;
  rotaryOf: RotaryOf;
}

export type { Rotary };

/**
 * Understands a model as a decoder: its family, the numbers of config.json, every weight with its shape.
 * @returns undefined where something is wrong; all of it is reported.
 */
export function readDecoder(forward: ForwardModel, report: Report): Decoder | undefined {
  const family = forwardFamily(forward, report);
  const shape = family && decoderShape(forward, family, report);
  if (shape === undefined) return undefined;
  const rotary = rotaryOf(forward.model, shape, report);
  const weights = decoderWeights(forward, shape, report);
  if (rotary === undefined || weights === undefined) return undefined;
  return { name: forward.model.name, shape, weights, rotaryOf: rotary };
}

/** Reports sequences that a decoder cannot take: none at all, empty ones, tokens beyond its vocabulary. */
export function checkTokens(decoder: Decoder, sequences: readonly Int32Array[], report: Report): void {
  const model = decoder.name;
  if (sequences.length === 0) report.error({ code: "no-tokens", message: "there is no text to run", model });
  for (const [index, ids] of sequences.entries()) {
    const which = sequences.length === 1 ? "the text" : `text ${index + 1} of ${sequences.length}`;
    if (ids.length === 0) {
      report.error({ code: "no-tokens", message: `${which} has no tokens`, model });
    }
    const beyond = ids.find((id) => id < 0 || id >= decoder.weights.vocabulary);
    if (beyond === undefined) continue;
    report.error({
      code: "token-beyond-vocabulary",
      message: `${which} has the token ${beyond}, but the embedding has ${decoder.weights.vocabulary} rows`,
      model,
      hint: "the tokenizer is another model's, or has tokens that the weights have no rows for",
    });
  }
}
