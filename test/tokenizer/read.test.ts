import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Problem, Report } from "../../src/errors.ts";
import { encoderOf } from "../../src/tokenizer/encode.ts";
import { readTokenizer } from "../../src/tokenizer/read.ts";
import type { Tokenizer } from "../../src/tokenizer/types.ts";
import { tokenizerText } from "../../src/tokenizer/write.ts";
import { sentencePiece } from "./sentencepiece-file.ts";

let folder = "";
let next = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sinter-tokenizer-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Files = Readonly<Record<string, unknown>>;

/** Reads a folder of these files; what is no text or bytes is written as JSON. */
function read(files: Files): { tokenizer: Tokenizer | undefined; errors: readonly Problem[] } {
  const dir = join(folder, String(next++));
  mkdirSync(dir);
  for (const [name, content] of Object.entries(files)) {
    const plain = typeof content === "string" || content instanceof Uint8Array;
    writeFileSync(join(dir, name), plain ? content : JSON.stringify(content));
  }
  const report = new Report();
  return { tokenizer: readTokenizer({ name: "model", dir, files: readdirSync(dir) }, report), errors: report.errors };
}

function tokenizer(files: Files): Tokenizer {
  const { tokenizer: found, errors } = read(files);
  if (found === undefined) throw new Error(errors.map(({ message }) => message).join("\n"));
  return found;
}

const added = { content: "<s>", single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
const BPE = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [{ id: 4, ...added }],
  normalizer: { type: "NFC" },
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: null,
    byte_fallback: false,
    vocab: { a: 0, b: 1, "\u0120": 2, ab: 3 },
    merges: [["a", "b"]],
  },
};

describe("tokenizer.json", () => {
  const KINDS: Record<string, object> = {
    BPE,
    "BPE with merges as text": { ...BPE, model: { ...BPE.model, merges: ["a b"] } },
    "tokens that look like numbers": { ...BPE, model: { ...BPE.model, vocab: { b: 0, a: 1, ab: 2, "7": 3 } } },
    WordPiece: { ...BPE, model: { type: "WordPiece", unk_token: "a", continuing_subword_prefix: "##", max_input_chars_per_word: 9, vocab: { a: 0, "##b": 1 } } },
    Unigram: { ...BPE, model: { type: "Unigram", unk_id: 0, byte_fallback: false, vocab: [["<unk>", 0.5], ["a", -1.25]] } },
    WordLevel: { ...BPE, model: { type: "WordLevel", unk_token: "a", vocab: { a: 0 } } },
  }; // biome-ignore format: a table

  test.each(Object.keys(KINDS))("of %s is written as it was read", (kind) => {
    const written = tokenizerText(tokenizer({ "tokenizer.json": KINDS[kind] }));
    expect(JSON.parse(written)).toEqual(KINDS[kind]);
  });

  test("without a type is what its parts say", () => {
    const { type: _, ...untyped } = BPE.model;
    expect(tokenizer({ "tokenizer.json": { ...BPE, model: untyped } }).kind).toBe("BPE");
  });

  test("has every token's id, added ones included", () => {
    const { ids, kind, merges } = tokenizer({ "tokenizer.json": BPE });
    expect(Object.fromEntries(ids)).toEqual({ ...BPE.model.vocab, "<s>": 4 });
    expect([kind, merges]).toEqual(["BPE", [["a", "b"]]]);
  });

  test("has the added tokens that only tokenizer_config.json lists", () => {
    const config = {
      added_tokens_decoder: { "4": added, "5": { ...added, content: "<x>" }, "0": { ...added, content: "<y>" } },
    };
    const found = tokenizer({ "tokenizer.json": BPE, "tokenizer_config.json": config });
    expect(found.added.map(({ content, id }) => [content, id])).toEqual([
      ["<s>", 4],
      ["<x>", 5],
    ]);
  });

  test("goes before older formats", () => {
    expect(tokenizer({ "tokenizer.json": BPE, "vocab.json": {}, "merges.txt": "" }).from).toBe("tokenizer.json");
  });
});

describe("a tokenizer that is refused, and named", () => {
  const model = (changes: object) => ({ ...BPE, model: { ...BPE.model, ...changes } });
  const CASES: Record<string, [Files, RegExp]> = {
    "no JSON": [{ "tokenizer.json": "{nonsense" }, /tokenizer.json does not read/],
    "cut off": [{ "tokenizer.json": JSON.stringify(BPE).slice(0, -20) }, /does not read/],
    "no model": [{ "tokenizer.json": { added_tokens: [] } }, /no "model"/],
    "an unknown model": [{ "tokenizer.json": model({ type: "Magic" }) }, /"Magic"/],
    "a token twice": [{ "tokenizer.json": JSON.stringify(BPE).replace('"b":1', '"b":1,"a":5') }, /"a" is named twice/],
    "an added token twice": [{ "tokenizer.json": { ...BPE, added_tokens: [{ id: 4, ...added }, { id: 5, ...added }] } }, /"<s>" is named twice: with the ids 4 and 5/],
    "an added token with another id than its word": [{ "tokenizer.json": { ...BPE, added_tokens: [{ ...added, id: 9, content: "a" }] } }, /"a" is named twice/],
    "two tokens of one id": [{ "tokenizer.json": model({ vocab: { a: 0, b: 0 } }) }, /"b" and "a" have the same id 0/],
    "an id that is none": [{ "tokenizer.json": model({ vocab: { a: 0.5 } }) }, /id of token "a" is 0.5/],
    "a merge of three": [{ "tokenizer.json": model({ merges: ["a b c"] }) }, /merge "a b c"/],
    "vocab.json alone": [{ "vocab.json": { a: 0 } }, /merges.txt/],
    "no SentencePiece model": [{ "tokenizer.model": "What is this? No model." }, /tokenizer.model does not read/],
    "an empty SentencePiece model": [{ "tokenizer.model": new Uint8Array() }, /no pieces/],
    "a SentencePiece model cut off": [{ "tokenizer.model": sentencePiece([["a", -1]]).slice(0, -2) }, /does not read/],
    "ids that the file does not say": [{ "tokenizer.model": sentencePiece([["a", -1]]), "tokenizer_config.json": { tokenizer_class: "XLMRobertaTokenizer" } }, /XLMRobertaTokenizer/],
  }; // biome-ignore format: a table

  test.each(Object.keys(CASES))("%s", (name) => {
    const [files, message] = CASES[name] as [Files, RegExp];
    const { tokenizer: found, errors } = read(files);
    expect(found).toBeUndefined();
    expect(errors).toHaveLength(1);
    expect(errors[0]?.message).toMatch(message);
  });

  test("a folder without any is no error", () => {
    expect(read({ "config.json": {} })).toEqual({ tokenizer: undefined, errors: [] });
  });
});

describe("vocab.json and merges.txt", () => {
  const files = {
    "vocab.json": { a: 0, b: 1, ab: 2, "\u0120": 3, "<|endoftext|>": 4 },
    "merges.txt": "#version: 0.2\na b\n",
    "added_tokens.json": { "<|x|>": 5 },
    "tokenizer_config.json": { tokenizer_class: "GPT2Tokenizer", eos_token: "<|endoftext|>" },
  };

  test("become byte-level BPE, special and added tokens included", () => {
    const found = tokenizer(files);
    expect(encoderOf(found).encode("ab a<|x|><|endoftext|>").ids).toEqual([2, 3, 0, 5, 4]);
    expect(found.added.map(({ content, special }) => [content, special])).toEqual([
      ["<|endoftext|>", true],
      ["<|x|>", false],
    ]);
  });

  test("of Qwen2 keep digits apart, as its class does", () => {
    const vocab = { "1": 0, "2": 1, "12": 2 };
    const merges = "#version: 0.2\n1 2\n";
    const digits = (tokenizer_class: string) =>
      encoderOf(tokenizer({ "vocab.json": vocab, "merges.txt": merges, "tokenizer_config.json": { tokenizer_class } }));
    expect(digits("Qwen2Tokenizer").encode("12").ids).toEqual([0, 1]);
    expect(digits("GPT2Tokenizer").encode("12").ids).toEqual([2]);
  });
});

test("vocab.txt becomes WordPiece", () => {
  const found = tokenizer({ "vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\nab\n##c\n" });
  expect(encoderOf(found).encode("ABc x").tokens).toEqual(["[CLS]", "ab", "##c", "[UNK]", "[SEP]"]);
});

describe("a SentencePiece model", () => {
  const control = 3;
  const unknown = 2;

  test("of BPE gets the merges that its scores stand for", () => {
    const pieces: [string, number, number?][] = [
      ["<unk>", 0, unknown],
      ["<s>", 0, control],
      ["</s>", 0, control],
      ["<0x41>", 0, 6],
      ["▁a", -0],
      ["ab", -1],
      ["▁ab", -2],
      ["▁", -3],
      ["a", -4],
      ["b", -5],
    ];
    const config = { tokenizer_class: "LlamaTokenizer", bos_token: "<s>", eos_token: "</s>" };
    const found = tokenizer({
      "tokenizer.model": sentencePiece(pieces, { type: 2, byteFallback: true, removeExtraWhitespaces: false }),
      "tokenizer_config.json": config,
    });
    expect(found.merges).toEqual([
      ["▁", "a"],
      ["a", "b"],
      ["▁a", "b"],
      ["▁", "ab"],
    ]);
    expect(encoderOf(found).encode("ab a").tokens).toEqual(["<s>", "▁ab", "▁a"]);
    expect(encoderOf(found).encode("abA").tokens).toEqual(["<s>", "▁ab", "<0x41>"]);
  });

  test("of Unigram keeps scores and ids, and its class's end of text", () => {
    const pieces: [string, number, number?][] = [
      ["<pad>", 0, control],
      ["</s>", 0, control],
      ["<unk>", 0, unknown],
      ["▁a", -1],
      ["b", -2],
      ["▁", -3],
      ["a", -3.5],
    ];
    const found = tokenizer({
      "tokenizer.model": sentencePiece(pieces, { type: 1 }),
      "tokenizer_config.json": { tokenizer_class: "T5Tokenizer", extra_ids: 2 },
    });
    expect(found.scores).toEqual([0, 0, 0, -1, -2, -3, -3.5, 0, 0]);
    expect(encoderOf(found).encode("ab  b<extra_id_0>").tokens).toEqual(["▁a", "b", "▁", "b", "<extra_id_0>", "</s>"]);
  });
});

describe("the chat template", () => {
  const base = { "tokenizer.json": BPE };
  const CASES: [string, Files, string | undefined][] = [
    ["in a file of its own", { "chat_template.jinja": "J", "tokenizer_config.json": { chat_template: "C" } }, "J"],
    ["beside a processor", { "chat_template.json": { chat_template: "P" } }, "P"],
    ["in tokenizer_config.json", { "tokenizer_config.json": { chat_template: "C" } }, "C"],
    ["with others, by its name", { "tokenizer_config.json": { chat_template: [{ name: "tool", template: "T" }, { name: "default", template: "D" }] } }, "D"],
    ["nowhere", {}, undefined],
  ]; // biome-ignore format: a table

  test.each(CASES)("%s is found", (_, files, expected) => {
    expect(tokenizer({ ...base, ...files }).chatTemplate).toBe(expected);
  });
});
