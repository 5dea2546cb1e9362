import { existsSync } from "node:fs";
import { isObject } from "../model/json-file.ts";
import { isNestedTooDeeply, readBounded, readBoundedText } from "../model/text-file.ts";
import { sideFilePath } from "../model/types.ts";
import { byteLevelPipeline } from "./byte-level.ts";
import { template } from "./post-processor.ts";
import { convertSentencePiece } from "./sentencepiece.ts";
import { addedToken, badTokenizer, checkCore, parseMerge, type TokenizerCore } from "./tokenizer-json.ts";
import type { AddedToken, JsonObject } from "./types.ts";

/** A folder without tokenizer.json. */
export interface LegacyFolder {
  dir: string;
  files: readonly string[];
  /** Where those lie that are not in `dir`. */
  sideFilePaths?: ReadonlyMap<string, string> | undefined;
  from: "tokenizer.model" | "vocab.json" | "vocab.txt" | "tokenizer.json";
  config: JsonObject;
  specialTokensMap: JsonObject;
}

/**
 * Reads the formats before tokenizer.json: a SentencePiece model; vocab.json with merges.txt (byte-level BPE); vocab.txt
 * (WordPiece). Added and special tokens come from added_tokens.json, tokenizer_config.json and special_tokens_map.json.
 * @throws FormatError
 */
export function readLegacy(folder: LegacyFolder): TokenizerCore {
  const core = convert(folder);
  const complete = { ...core, added: withSpecialTokens(core, folder) };
  checkCore(complete);
  return complete;
}

function convert(folder: LegacyFolder): TokenizerCore {
  const { from, config, files } = folder;
  const text = (name: string) => readBoundedText(sideFilePath(folder, name));
  if (from === "tokenizer.model") return convertSentencePiece(readBounded(sideFilePath(folder, from)), config);
  if (from === "vocab.txt") return convertWordPiece(text(from), config);
  if (!files.includes("merges.txt")) throw badTokenizer("it has no merges.txt beside it");
  return convertByteLevel(text(from), text("merges.txt"), config);
}

/** @param what the file, for messages. */
function parseIds(text: string, what: string): JsonObject {
  let parsed: unknown;
  try {
    if (isNestedTooDeeply(text)) throw new Error("nested too deeply");
    parsed = JSON.parse(text);
  } catch (error) {
    throw badTokenizer(`${what} is not JSON: ${(error as Error).message}`);
  }
  if (!isObject(parsed)) throw badTokenizer(`${what} is not an object of ids`);
  return parsed as JsonObject;
}

function convertByteLevel(vocabText: string, mergesText: string, config: JsonObject): TokenizerCore {
  const vocab = new Map(Object.entries(parseIds(vocabText, "it")) as [string, number][]);
  const lines = mergesText.split("\n").map((line) => line.replace(/\r$/, ""));
  const merges = lines.filter((line, i) => line !== "" && !(i === 0 && line.startsWith("#version"))).map(parseMerge);
  const unknown = typeof config.unk_token === "string" && vocab.has(config.unk_token) ? config.unk_token : null;
  return {
    kind: "BPE",
    vocab,
    merges,
    mergesAsText: false,
    scores: [],
    added: [],
    model: {
      dropout: null,
      unk_token: unknown,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
    },
    pipeline: byteLevelPipeline(config, vocab),
  };
}

const BERT_TOKENS = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];

function convertWordPiece(text: string, config: JsonObject): TokenizerCore {
  const vocab = new Map<string, number>();
  text
    .replace(/\n$/, "")
    .split("\n")
    .forEach((line, id) => {
      const token = line.replace(/\r$/, "");
      if (vocab.has(token)) throw badTokenizer(`the token ${JSON.stringify(token)} is named twice`);
      vocab.set(token, id);
    });
  const flag = (name: string, usual: unknown) => config[name] ?? usual;
  return {
    kind: "WordPiece",
    vocab,
    merges: [],
    mergesAsText: false,
    scores: [],
    added: BERT_TOKENS.flatMap((content) => (vocab.has(content) ? [special(content, vocab.get(content) ?? 0)] : [])),
    model: { unk_token: flag("unk_token", "[UNK]"), continuing_subword_prefix: "##", max_input_chars_per_word: 100 },
    pipeline: {
      normalizer: {
        type: "BertNormalizer",
        clean_text: true,
        handle_chinese_chars: flag("tokenize_chinese_chars", true),
        strip_accents: flag("strip_accents", null),
        lowercase: flag("do_lower_case", true),
      },
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor: template(["[CLS]"], ["[SEP]"], vocab),
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    },
  };
}

function special(content: string, id: number): AddedToken {
  return addedToken({ content, special: true, normalized: false }, id);
}

/** The core's own added tokens, and those that files beside it name. */
function withSpecialTokens(core: TokenizerCore, folder: LegacyFolder): AddedToken[] {
  const { files, config, specialTokensMap } = folder;
  const added = new Map(core.added.map((token) => [token.content, token]));
  const path = sideFilePath(folder, "added_tokens.json");
  if (files.includes("added_tokens.json") && existsSync(path)) {
    const ids = parseIds(readBoundedText(path), "added_tokens.json");
    for (const [content, id] of Object.entries(ids)) added.set(content, addedToken({ content }, id as number));
  }
  for (const [id, token] of Object.entries(isObject(config.added_tokens_decoder) ? config.added_tokens_decoder : {})) {
    const declared = addedToken(token, Number(id));
    added.set(declared.content, declared);
  }
  for (const content of specialTexts({ ...specialTokensMap, ...config })) {
    const id = added.get(content)?.id ?? core.vocab.get(content);
    if (id !== undefined && added.get(content)?.special !== true) added.set(content, special(content, id));
  }
  return [...added.values()].toSorted((a, b) => a.id - b.id);
}

/** Every text that a key `..._token` or a list of special tokens names. */
function specialTexts(fields: JsonObject): string[] {
  const texts: string[] = [];
  for (const [key, value] of Object.entries(fields)) {
    const values = /^(bos|eos|unk|sep|pad|cls|mask)_token$/.test(key)
      ? [value]
      : /^(additional|extra)_special_tokens$/.test(key) && Array.isArray(value)
        ? value
        : [];
    for (const one of values) {
      if (typeof one === "string") texts.push(one);
      else if (isObject(one) && typeof one.content === "string") texts.push(one.content);
    }
  }
  return texts;
}
