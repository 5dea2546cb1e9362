import { Report, SinterError } from "../errors.ts";
import { modelTokenizer } from "../forward/tokens.ts";
import type { PlanModel } from "../plan/models.ts";
import { type Encoder, encoderOf } from "../tokenizer/encode.ts";
import { promptText } from "./prompt-text.ts";

/**
 * Token ids of each prompt, by the model's own tokenizer: the token that begins a text, if the model has one, then the
 * prompt's, and no others.
 * @throws SinterError where the model has no tokenizer or it cannot be used, a prompt has no tokens, or an id lies beyond
 * the embedding's rows.
 */
export async function encodePrompts(
  { model, at }: PlanModel,
  prompts: readonly string[],
  rows: number,
): Promise<Int32Array[]> {
  const report = new Report();
  const fail = (message: string, hint?: string): never => {
    throw new SinterError({ code: "prompt-tokens", message, at, model: model.name, hint });
  };
  const tokenizer = modelTokenizer(model, report);
  report.throwIfErrors();
  if (tokenizer === undefined) return [];
  const bos = tokenizer.roles.get("bos_token") ?? "";
  let encoder: Encoder;
  try {
    encoder = encoderOf(tokenizer);
  } catch (error) {
    return fail(`the tokenizer cannot be used: ${(error as Error).message}`);
  }
  return prompts.map((prompt) => {
    const { ids } = encoder.encode(bos + prompt, false);
    if (ids.length === 0) return fail(`the prompt ${promptText(prompt)} has no tokens`);
    const beyond = ids.findIndex((id) => !(id >= 0 && id < rows));
    if (beyond >= 0) {
      const which = ids[beyond] === undefined ? "a token without an id" : `the token id ${ids[beyond]}`;
      return fail(`the prompt ${promptText(prompt)} has ${which}, and the embedding has ${rows} rows`);
    }
    return Int32Array.from(ids);
  });
}
