import type { Report } from "../errors.ts";
import type { Model } from "../model/types.ts";
import { encoderOf } from "../tokenizer/encode.ts";
import { readTokenizer, tokenizerFolder, VOCABULARY_FILES } from "../tokenizer/read.ts";
import type { Tokenizer } from "../tokenizer/types.ts";

/** From text to ids, with the special tokens that the tokenizer puts around a text. */
export type Encode = (text: string) => Int32Array;

/** A model's own tokenizer, of any format that is read. @returns undefined where it has none that works: reported. */
export function readEncoder(model: Model, report: Report): Encode | undefined {
  const tokenizer = modelTokenizer(model, report);
  if (tokenizer === undefined) return undefined;
  try {
    const encoder = encoderOf(tokenizer);
    return (text) => Int32Array.from(encoder.encode(text).ids);
  } catch (error) {
    const message = `the tokenizer cannot be used: ${error instanceof Error ? error.message : String(error)}`;
    report.error({ code: "bad-tokenizer", message, path: model.dir, model: model.name });
    return undefined;
  }
}

/** A model's own tokenizer. @returns undefined where it has none that can be read, which is reported. */
export function modelTokenizer(model: Model, report: Report): Tokenizer | undefined {
  const before = report.errors.length;
  const tokenizer = readTokenizer(tokenizerFolder(model), report);
  if (tokenizer === undefined && report.errors.length === before) {
    report.error({
      code: "no-tokenizer",
      message: "the model has no tokenizer, so that text cannot be turned into its tokens",
      model: model.name,
      path: model.dir,
      hint: `put its tokenizer's files there: ${VOCABULARY_FILES.join(", ")} or the like`,
    });
  }
  return tokenizer;
}
