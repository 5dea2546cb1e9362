import type { Tokenizer } from "./types.ts";
import { tokenizerText } from "./write.ts";

/** Turns texts into tokens and back. */
export interface Encoder {
  /** @param framed whether the special tokens that the post-processor puts around a text are wanted; they are by default. */
  encode(text: string, framed?: boolean): { ids: number[]; tokens: string[] };
  decode(ids: readonly number[]): string;
}

/** Takes a tokenizer into use. The library is loaded on first use. */
export function encoderOf(tokenizer: Tokenizer): Encoder {
  const { Tokenizer: Library } = require("@huggingface/tokenizers") as typeof import("@huggingface/tokenizers");
  const json = JSON.parse(tokenizerText(tokenizer)) as ConstructorParameters<typeof Library>[0];
  const loaded = new Library(json, { ...tokenizer.config });
  return {
    encode(text, framed = true) {
      const { ids, tokens } = loaded.encode(text, { add_special_tokens: framed });
      return { ids: [...ids], tokens: [...tokens] };
    },
    decode: (ids) => loaded.decode([...ids], { skip_special_tokens: false }),
  };
}
