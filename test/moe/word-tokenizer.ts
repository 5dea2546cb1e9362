import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Words that the tokenizer knows; the position is the id. */
export const WORDS = ["<unk>", "<s>", "numbers", "stories", "all", "dragons", "sums", "and"];

/** Writes a tokenizer of whole words into a model folder. @param bos the token that begins a text. */
export function writeWordTokenizer(folder: string, bos: unknown = "<s>"): void {
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const tokenizer = {
    version: "1.0",
    added_tokens: [{ id: 1, content: "<s>", ...special }],
    normalizer: null,
    pre_tokenizer: { type: "Whitespace" },
    post_processor: null,
    decoder: null,
    model: { type: "WordLevel", vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])), unk_token: "<unk>" },
  };
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ bos_token: bos, unk_token: "<unk>" }));
}
