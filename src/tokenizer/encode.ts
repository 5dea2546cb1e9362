import type { Tokenizer } from "./types.ts";
import { tokenizerText } from "./write.ts";

/** Turns texts into tokens and back, special tokens of the post-processor included. */
export interface Encoder {
  encode(text: string): { ids: number[]; tokens: string[] };
  decode(ids: readonly number[]): string;
}

/** Takes a tokenizer into use. The library is loaded on first use. */
export function encoderOf(tokenizer: Tokenizer): Encoder {
  const { Tokenizer: Library } = require("@huggingface/tokenizers") as typeof import("@huggingface/tokenizers");
  const json = JSON.parse(tokenizerText(tokenizer)) as ConstructorParameters<typeof Library>[0];
  const loaded = new Library(json, { ...tokenizer.config });
  return {
    encode(text) {
      const { ids, tokens } = loaded.encode(text);
      return { ids: [...ids], tokens: [...tokens] };
    },
    decode: (ids) => loaded.decode([...ids], { skip_special_tokens: false }),
  };
}
