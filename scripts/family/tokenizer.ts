/** A small byte-level BPE tokenizer in the layout of Qwen2's: every byte, a few merges, three special tokens. */

const MERGES = [
  "Ġ t",
  "h e",
  "i n",
  "r e",
  "o n",
  "Ġt he",
  "e r",
  "a t",
  "Ġ a",
  "o r",
  "in g",
  "n d",
  "Ġa nd",
  "Ġ m",
  "Ġm er",
  "g e",
  "Ġmer ge",
];

const SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/** Files of the tokenizer by name, and the id of its end-of-text token. */
export function familyTokenizer(): { files: Record<string, string>; endOfText: number } {
  const tokens = [...byteSymbols(), ...MERGES.map((merge) => merge.replace(" ", ""))];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const added = SPECIAL.map((content, index) => ({
    id: tokens.length + index,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true };
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: { type: "NFC" },
    pre_tokenizer: byteLevel,
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges: MERGES,
    },
  };
  const settings = {
    add_prefix_space: false,
    added_tokens_decoder: Object.fromEntries(added.map(({ id, ...token }) => [String(id), token])),
    additional_special_tokens: SPECIAL.slice(1),
    bos_token: null,
    clean_up_tokenization_spaces: false,
    eos_token: SPECIAL[0],
    errors: "replace",
    model_max_length: 32768,
    pad_token: SPECIAL[0],
    split_special_tokens: false,
    tokenizer_class: "PreTrainedTokenizerFast",
    unk_token: null,
  };
  return {
    files: { "tokenizer.json": json(tokenizer), "tokenizer_config.json": json(settings) },
    endOfText: tokens.length,
  };
}

/** A printable character for each of the 256 bytes, as GPT-2 chose them. */
function byteSymbols(): string[] {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let moved = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : moved++));
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
