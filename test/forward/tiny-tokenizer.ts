import { writeFileSync } from "node:fs";
import { join } from "node:path";

const LETTERS = "abcdefghijklmnopqrstuvwxyz.,;:!?'\"()0123456789";

/** Writes a tokenizer.json of 50 tokens: one for each small letter and a few signs, one for a blank, one for the rest. */
export function writeTinyTokenizer(folder: string): void {
  // ByteLevel writes a blank as Ġ.
  const tokens = ["<unk>", "Ġ", ...LETTERS].slice(0, 50);
  const definition = {
    version: "1.0",
    added_tokens: [],
    normalizer: { type: "Lowercase" },
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [],
    },
  };
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(definition));
}
