import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Report } from "../../src/errors.ts";
import { encoderOf } from "../../src/tokenizer/encode.ts";
import type { Tokenizer } from "../../src/tokenizer/types.ts";
import { unionTokenizer } from "../../src/tokenizer/union.ts";
import { mergeWord, special, tokenizerOf, trainBpe } from "./trained.ts";

const word = fc.string({ unit: fc.constantFrom(..."abcde"), minLength: 1, maxLength: 9 });
const words = fc.array(word, { minLength: 3, maxLength: 12 });
const bpe = (name: string) =>
  fc.tuple(words, fc.integer({ min: 0, max: 14 })).map(([list, merges]) => trainBpe(name, list, merges, [`<${name}>`]));

function unite(base: Tokenizer, ...others: Tokenizer[]): { union: Tokenizer; warnings: string[] } {
  const report = new Report();
  const union = unionTokenizer(base, others, report);
  report.throwIfErrors();
  return { union, warnings: report.warnings.map(({ code }) => code) };
}

/** Of words that two tokenizers cut alike, the union makes what the first makes. */
function cutsAsTheBase(tokenizer: (name: string) => fc.Arbitrary<Tokenizer>, numRuns: number): void {
  const words = fc.array(word, { minLength: 20, maxLength: 30 });
  const property = fc.property(tokenizer("x"), tokenizer("y"), words, (base, other, texts) => {
    const { union } = unite(base, other);
    const [a, b, u] = [base, other, union].map(encoderOf);
    for (const text of texts) {
      const cut = a?.encode(text).tokens;
      if (Bun.deepEquals(b?.encode(text).tokens, cut)) expect(u?.encode(text)).toEqual(a?.encode(text));
    }
  });
  fc.assert(property, { numRuns });
}

describe("a union of BPE vocabularies", () => {
  test("keeps every id of the base and has every token once", () => {
    fc.assert(
      fc.property(bpe("x"), bpe("y"), bpe("z"), (base, ...others) => {
        const { union } = unite(base, ...others);
        for (const [token, id] of base.ids) expect(union.ids.get(token)).toBe(id);
        for (const { ids } of others) for (const token of ids.keys()) expect(union.ids.has(token)).toBe(true);
        expect([...union.ids.values()].toSorted((a, b) => a - b)).toEqual(Array.from(union.ids.keys(), (_, i) => i));
      }),
    );
  });

  test("reaches each token by its merges, or finds it as an added token", () => {
    fc.assert(
      fc.property(bpe("x"), bpe("y"), (base, other) => {
        const { union } = unite(base, other);
        const added = new Set(union.added.map(({ content }) => content));
        for (const token of union.ids.keys()) {
          const inOwn = [base, other].some((one) => mergeWord(token, one.merges).length === 1 && one.vocab.has(token));
          if (inOwn && !added.has(token)) expect(mergeWord(token, union.merges)).toEqual([token]);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("has only merges of tokens that it has", () => {
    fc.assert(
      fc.property(bpe("x"), bpe("y"), (base, other) => {
        const { union } = unite(base, other);
        for (const [left, right] of union.merges) {
          for (const token of [left, right, left + right]) expect(union.vocab.has(token)).toBe(true);
        }
        expect(union.merges.slice(0, base.merges.length)).toEqual([...base.merges]);
      }),
    );
  });

  test("cuts a word on which all agree as the base does", () => {
    fc.assert(
      fc.property(
        bpe("x"),
        bpe("y"),
        bpe("z"),
        fc.array(word, { minLength: 30, maxLength: 60 }),
        (base, y, z, texts) => {
          const { union } = unite(base, y, z);
          for (const text of texts) {
            const cut = mergeWord(text, base.merges);
            const agree = [y, z].every(({ merges }) => Bun.deepEquals(mergeWord(text, merges), cut));
            if (agree) expect(mergeWord(text, union.merges)).toEqual(cut);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test("encodes and decodes with the library", () => {
    fc.assert(
      fc.property(bpe("x"), bpe("y"), fc.array(word, { minLength: 1, maxLength: 5 }), (base, other, texts) => {
        const { union } = unite(base, other);
        const encoders = [base, other, union].map(encoderOf);
        for (const text of texts) {
          const [a, b, u] = encoders.map((encoder) => encoder.encode(text).tokens);
          if (Bun.deepEquals(a, b)) expect(u).toEqual(a);
          expect(u?.join("")).toBe(text);
          expect(encoders[2]?.decode(encoders[2].encode(text).ids).replaceAll(" ", "")).toBe(text);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("of a vocabulary with itself is that vocabulary", () => {
    const base = trainBpe("x", ["abab", "cdcd"], 4, ["<s>"]);
    const { union, warnings } = unite(base, { ...base, name: "y" });
    expect({ ...union, ids: base.ids }).toEqual(base);
    expect(warnings).toEqual([]);
  });

  test("gives merges to a token whose parts the base joins otherwise", () => {
    const base = tokenizerOf("x", { kind: "BPE", vocab: vocabulary("a", "b", "c", "ab"), merges: [["a", "b"]] });
    const other = tokenizerOf("y", {
      kind: "BPE",
      vocab: vocabulary("a", "b", "c", "bc", "abc"),
      merges: [["b", "c"], ["a", "bc"]], // biome-ignore format: a table
    });
    const { union } = unite(base, other);
    expect(mergeWord("abc", union.merges)).toEqual(["abc"]);
    expect(mergeWord("ab", union.merges)).toEqual(["ab"]);
  });

  test("makes an added token of what no merge of tokens reaches", () => {
    const base = tokenizerOf("x", { kind: "BPE", vocab: vocabulary("a", "b", "c", "d", "bc"), merges: [["b", "c"]] });
    const other = tokenizerOf("y", {
      kind: "BPE",
      vocab: vocabulary("a", "b", "c", "d", "ab", "cd", "abcd"),
      merges: [["a", "b"], ["c", "d"], ["ab", "cd"]], // biome-ignore format: a table
    });
    const { union, warnings } = unite(base, other);
    expect(union.added.map(({ content, special: isSpecial }) => [content, isSpecial])).toEqual([["abcd", false]]);
    expect(warnings).toEqual(["unreached-tokens"]);
  });
});

describe("added tokens of a union", () => {
  const vocab = vocabulary("a", "b", "<x>");

  test("are special where one model has them so", () => {
    const base = tokenizerOf("x", { kind: "BPE", vocab });
    const other = tokenizerOf("y", { kind: "BPE", vocab, added: [special("<x>", 2)] });
    expect(unite(base, other).union.added).toEqual([special("<x>", 2)]);
    const ordinary = tokenizerOf("z", {
      kind: "BPE",
      vocab,
      added: [special("<x>", 2, { special: false, lstrip: true })],
    });
    const { union, warnings } = unite(ordinary, other);
    expect(union.added).toEqual([special("<x>", 2, { lstrip: true })]);
    expect(warnings).toEqual(["added-token-flags"]);
  });

  test("stand in the vocabulary where new tokens follow them, or Python would number them anew", () => {
    const base = tokenizerOf("x", { kind: "BPE", vocab: vocabulary("a", "b"), added: [special("<x>", 2)] });
    const other = tokenizerOf("y", { kind: "BPE", vocab: vocabulary("a", "c") });
    const { union } = unite(base, other);
    expect([...union.vocab]).toEqual([
      ["a", 0],
      ["b", 1],
      ["<x>", 2],
      ["c", 3],
    ]);
  });
});

describe("a union of WordPiece vocabularies", () => {
  const piece = fc.tuple(fc.boolean(), word).map(([within, text]) => (within ? `##${text}` : text));
  const model = { unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 100 };
  const wordPiece = (name: string) =>
    fc.array(piece, { minLength: 5, maxLength: 25 }).map((pieces) => {
      const vocab = vocabulary("[UNK]", ..."abcde", ..."abcde".split("").map((c) => `##${c}`), ...pieces);
      return tokenizerOf(name, {
        kind: "WordPiece",
        vocab,
        model,
        pipeline: { pre_tokenizer: { type: "Whitespace" } },
      });
    });

  test("cuts a word on which all agree as the base does", () => cutsAsTheBase(wordPiece, 40));
});

describe("a union of Unigram vocabularies", () => {
  const scored = fc.tuple(word, fc.integer({ min: 20, max: 160 }));
  const unigram = (name: string) =>
    fc.array(scored, { minLength: 3, maxLength: 20 }).map((list) => {
      const pieces = new Map<string, number>([["<unk>", 0], ...[..."abcde"].map((c): [string, number] => [c, -7])]);
      for (const [text, score] of list) pieces.set(text, -score / 10 - 0.013 * pieces.size);
      const vocab = vocabulary(...pieces.keys());
      return tokenizerOf(name, { kind: "Unigram", vocab, scores: [...pieces.values()], model: { unk_id: 0 } });
    });

  test("cuts a word on which all agree as the base does", () => cutsAsTheBase(unigram, 60));

  test("reaches a new piece that its model uses", () => {
    const pieces = (...list: [string, number][]) => ({
      kind: "Unigram" as const,
      vocab: vocabulary("<unk>", ...list.map(([text]) => text)),
      scores: [0, ...list.map(([, score]) => score)],
      model: { unk_id: 0 },
    });
    const base = tokenizerOf("x", pieces(["a", -2], ["b", -2]));
    const other = tokenizerOf("y", pieces(["a", -2], ["b", -2], ["ab", -3], ["ba", -9]));
    const encoder = encoderOf(unite(base, other).union);
    expect(encoder.encode("ab").tokens).toEqual(["ab"]);
    expect(encoder.encode("ba").tokens).toEqual(["b", "a"]);
  });
});

function vocabulary(...tokens: string[]): Map<string, number> {
  return new Map([...new Set(tokens)].map((token, id) => [token, id]));
}
