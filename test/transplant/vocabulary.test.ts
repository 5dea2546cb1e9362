import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { keyOf, readVocabulary } from "../../src/transplant/vocabulary.ts";
import { tokenizerOf } from "./tokenizers.ts";

const keys = (tokenizer: Parameters<typeof readVocabulary>[0]) =>
  readVocabulary(tokenizer).tokens.map(({ key }) => key);

describe("a token is what it adds to a text, however its tokenizer spells it", () => {
  test("the start of a word", () => {
    const word = keyOf("text", " the");
    expect(keys(tokenizerOf(["Ġthe"], { byteLevel: true }))).toEqual([word]);
    expect(keys(tokenizerOf(["▁the"]))).toEqual([word]);
    expect(keys(tokenizerOf(["▁the"], { kind: "Unigram" }))).toEqual([word]);
    expect(keys(tokenizerOf(["the"], { kind: "WordPiece" }))).toEqual([word]);
  });

  test("the rest of a word", () => {
    const rest = keyOf("text", "ing");
    expect(keys(tokenizerOf(["ing"], { byteLevel: true }))).toEqual([rest]);
    expect(keys(tokenizerOf(["##ing"], { kind: "WordPiece" }))).toEqual([rest]);
    expect(keys(tokenizerOf(["@@ing"], { kind: "WordPiece", model: { continuing_subword_prefix: "@@" } }))).toEqual([
      rest,
    ]);
  });

  test("any text, in both alphabets", () => {
    // GPT-2's table, worked out once more: what stands for each byte.
    const plain = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    const others = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !plain(byte));
    const spelt = (byte: number) => String.fromCodePoint(plain(byte) ? byte : 256 + others.indexOf(byte));
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (text) => {
        fc.pre(!text.includes("▁") && !/^<0x[0-9A-F]{2}>$/.test(text));
        const bytes = [...Buffer.from(text, "utf8")].map(spelt).join("");
        expect(keys(tokenizerOf([bytes], { byteLevel: true }))).toEqual(keys(tokenizerOf([text.replaceAll(" ", "▁")])));
      }),
    );
  });

  test("a byte without text is not the character of that number", () => {
    expect(keys(tokenizerOf(["<0xE9>", "é"]))).toEqual([keyOf("byte", "\xe9"), keyOf("text", "\xc3\xa9")]);
  });
});

describe("special tokens", () => {
  test("are the same where they play the same part", () => {
    const mistral = tokenizerOf(["<s>", "</s>"], { roles: { bos_token: "<s>", eos_token: "</s>" } });
    const llama = tokenizerOf([], {
      byteLevel: true,
      added: [{ content: "<|begin_of_text|>" }, { content: "<|end_of_text|>" }],
      roles: { bos_token: "<|begin_of_text|>", eos_token: "<|end_of_text|>" },
    });
    expect(keys(mistral)).toEqual(keys(llama));
  });

  test("with two parts count as the first", () => {
    const tokenizer = tokenizerOf(["</s>"], { roles: { pad_token: "</s>", eos_token: "</s>" } });
    expect(keys(tokenizer)).toEqual([keyOf("role", "eos_token")]);
  });

  test("with none are the same where their text is, and each keeps an id of its own", () => {
    const tokenizer = tokenizerOf([], { byteLevel: true, added: [{ content: "<|a|>" }, { content: "<|b|>" }] });
    expect(keys(tokenizer)).toEqual([keyOf("special", "<|a|>"), keyOf("special", "<|b|>")]);
  });
});
