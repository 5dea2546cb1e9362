/** What a tokenizer's vocabulary is used by. */
export type TokenizerKind = "BPE" | "WordPiece" | "Unigram" | "WordLevel";

/** A token that is looked for in the text before anything else is done to it, as tokenizer.json has it. */
export interface AddedToken {
  id: number;
  content: string;
  /** Only where no letter or digit stands before or after it. */
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  /** Looked for in the normalised text. */
  normalized: boolean;
  /** Left out when text is decoded without special tokens. */
  special: boolean;
}

/** Two tokens that BPE joins. */
export type Merge = readonly [string, string];

export type JsonObject = Readonly<Record<string, unknown>>;

/** A model folder's tokenizer, whichever files it was read from. A value: whoever changes it makes another one. */
export interface Tokenizer {
  /** For messages. */
  name: string;
  dir: string;
  /** The file that holds the vocabulary: `tokenizer.json`, `vocab.json`, `vocab.txt` or `tokenizer.model`. */
  from: string;
  kind: TokenizerKind;
  /** The model's vocabulary: ids by token. Added tokens may be in it as well. */
  vocab: ReadonlyMap<string, number>;
  /** BPE: which two tokens are joined, the most urgent first; empty for the others. */
  merges: readonly Merge[];
  /** Merges are written as `left right`, which versions of `tokenizers` before 0.20 want, and not as pairs. */
  mergesAsText: boolean;
  /** Unigram: log probabilities by id; empty for the others. */
  scores: readonly number[];
  /** In the order of their ids. */
  added: readonly AddedToken[];
  /** Every token, added ones included: ids by token. */
  ids: ReadonlyMap<string, number>;
  /** What else `model` holds: `unk_token`, `byte_fallback`, `continuing_subword_prefix` and the like. */
  model: JsonObject;
  /** Normalizer, pre-tokenizer, post-processor, decoder and what else stands beside `model` and `added_tokens`. */
  pipeline: JsonObject;
  /** tokenizer_config.json; empty where there is none. */
  config: JsonObject;
  /** special_tokens_map.json, where there is one. */
  specialTokensMap: JsonObject | undefined;
  /** `bos_token`, `eos_token` and the like, by their name. */
  roles: ReadonlyMap<string, string>;
  /** The default template, wherever the folder keeps it. */
  chatTemplate: string | undefined;
}
