import { expect, test } from "bun:test";
import type { Encoder } from "../../src/tokenizer/encode.ts";
import type { SubwordMethod } from "../../src/transplant/methods.ts";
import { cutTokens } from "../../src/transplant/pieces.ts";
import { readVocabulary } from "../../src/transplant/vocabulary.ts";
import { tokenizerOf } from "./tokenizers.ts";

const own = readVocabulary(tokenizerOf(["a", "b", "c", "<0xC3>"]));
/** One token a letter; others are unknown. */
const encoder: Encoder = {
  encode: (text) => ({
    ids: [...text].flatMap((letter) => ("abc".includes(letter) ? ["abc".indexOf(letter)] : [])),
    tokens: [],
  }),
  decode: () => "",
};

function cut(token: string, method: SubwordMethod, isHead = false, rows = 4) {
  const { tokens } = readVocabulary(tokenizerOf([token], { byteLevel: true }));
  const pieces = cutTokens(tokens, own, encoder, { method, rows, isHead });
  return [...pieces.rows].map((row, i) => [row, pieces.weights[i]]);
}

test("mean and sum", () => {
  expect(cut("ac", "mean")).toEqual([
    [0, 0.5],
    [2, 0.5],
  ]);
  expect(cut("ac", "sum")).toEqual([
    [0, 1],
    [2, 1],
  ]);
});

test("the last piece counts most for an embedding, the first for a head", () => {
  expect(cut("cba", "weighted_mean").map(([, weight]) => weight)).toEqual([1 / 6, 2 / 6, 3 / 6]);
  expect(cut("cba", "weighted_mean", true).map(([, weight]) => weight)).toEqual([3 / 6, 2 / 6, 1 / 6]);
  expect(cut("cba", "first_last")).toEqual([[0, 1]]);
  expect(cut("cba", "first_last", true)).toEqual([[2, 1]]);
});

test("part of a character is cut into bytes", () => {
  // U+00C3 is how the byte 0xC3 is spelt; alone it is no text.
  expect(cut("Ã", "mean")).toEqual([[3, 1]]);
});

test("pieces without a row are left out, and a token of none has no pieces", () => {
  expect(cut("ac", "mean", false, 2)).toEqual([[0, 1]]);
  expect(cut("xyz", "mean")).toEqual([]);
});
