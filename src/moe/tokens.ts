import { Report, SinterError } from "../errors.ts";
import { isObject, readJsonObject } from "../model/json-file.ts";
import { type Model, sideFilePath } from "../model/types.ts";
import type { PlanModel } from "../plan/models.ts";
import { promptText } from "./prompt-text.ts";

const VOCABULARY = "tokenizer.json";
const SETTINGS = "tokenizer_config.json";

/**
 * Token ids of each prompt, by the model's own tokenizer: the token that begins a text, if the model has one, then the
 * prompt's, and no others.
 * @throws SinterError where the model has no tokenizer.json or it cannot be used, a prompt has no tokens, or an id lies
 * beyond the embedding's rows.
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
  if (!model.sideFiles.includes(VOCABULARY)) {
    return fail(
      `the model has no ${VOCABULARY}, and prompts cannot be turned into tokens without`,
      "save its tokenizer with transformers, which writes that file, or set gate_mode to random",
    );
  }
  const vocabulary = readJsonObject(sideFilePath(model, VOCABULARY), VOCABULARY, report);
  const settings = readOptional(model, SETTINGS, report) ?? {};
  const bos =
    tokenText(settings.bos_token) ?? tokenText(readOptional(model, "special_tokens_map.json", report)?.bos_token);
  report.throwIfErrors();
  const { Tokenizer } = await import("@huggingface/tokenizers");
  let tokenizer: InstanceType<typeof Tokenizer>;
  try {
    tokenizer = new Tokenizer(vocabulary as object, settings);
  } catch (error) {
    return fail(`${VOCABULARY} cannot be used: ${(error as Error).message}`);
  }
  return prompts.map((prompt) => {
    const { ids } = tokenizer.encode((bos ?? "") + prompt, { add_special_tokens: false });
    if (ids.length === 0) return fail(`the prompt ${promptText(prompt)} has no tokens`);
    const beyond = ids.findIndex((id) => !(id >= 0 && id < rows));
    if (beyond >= 0) {
      const which = ids[beyond] === undefined ? "a token without an id" : `the token id ${ids[beyond]}`;
      return fail(`the prompt ${promptText(prompt)} has ${which}, and the embedding has ${rows} rows`);
    }
    return Int32Array.from(ids);
  });
}

function readOptional(model: Model, name: string, report: Report): Record<string, unknown> | undefined {
  return model.sideFiles.includes(name) ? readJsonObject(sideFilePath(model, name), name, report) : undefined;
}

/** A special token is its text, or an object that has it as its content. */
function tokenText(token: unknown): string | undefined {
  const text = isObject(token) ? token.content : token;
  return typeof text === "string" && text !== "" ? text : undefined;
}
