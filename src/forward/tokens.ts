import { Tokenizer } from "@huggingface/tokenizers";
import type { Report } from "../errors.ts";
import { isObject, readJsonObject } from "../model/json-file.ts";
import { type Model, sideFilePath } from "../model/types.ts";

/** From text to ids, with the special tokens that the tokenizer puts around a text. */
export type Encode = (text: string) => Int32Array;

const FILE = "tokenizer.json";
const CONFIG = "tokenizer_config.json";

/** A model's own tokenizer. @returns undefined where it has none that can be read, which is reported. */
export function readEncoder(model: Model, report: Report): Encode | undefined {
  if (!model.sideFiles.includes(FILE)) {
    report.error({
      code: "no-tokenizer",
      message: `the model has no ${FILE}, so that text cannot be turned into its tokens`,
      model: model.name,
      hint: `save its tokenizer once with Transformers (AutoTokenizer…save_pretrained): that writes ${FILE}`,
    });
    return undefined;
  }
  const read = (name: string) => readJsonObject(sideFilePath(model, name), name, report);
  const definition = read(FILE);
  const config = model.sideFiles.includes(CONFIG) ? read(CONFIG) : {};
  if (definition === undefined || config === undefined || !isObject(definition)) return undefined;
  try {
    const tokenizer = new Tokenizer(definition, config);
    return (text) => Int32Array.from(tokenizer.encode(text).ids);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const path = sideFilePath(model, FILE);
    report.error({
      code: "bad-tokenizer",
      message: `the tokenizer cannot be used: ${reason}`,
      path,
      model: model.name,
    });
    return undefined;
  }
}
