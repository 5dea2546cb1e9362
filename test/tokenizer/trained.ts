import type { TokenizerCore } from "../../src/tokenizer/tokenizer-json.ts";
import type { AddedToken, Merge, Tokenizer } from "../../src/tokenizer/types.ts";

/** A tokenizer as reading a folder gives it. */
export function tokenizerOf(name: string, core: Partial<TokenizerCore> & Pick<Tokenizer, "kind" | "vocab">): Tokenizer {
  const added = core.added ?? [];
  const ids = new Map(core.vocab);
  for (const { content, id } of added) ids.set(content, id);
  return {
    name,
    dir: `/models/${name}`,
    from: "tokenizer.json",
    merges: [],
    mergesAsText: false,
    scores: [],
    model: {},
    pipeline: {},
    config: {},
    specialTokensMap: undefined,
    roles: new Map(),
    chatTemplate: undefined,
    ...core,
    added,
    ids,
  };
}

export function special(content: string, id: number, flags: Partial<AddedToken> = {}): AddedToken {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...flags };
}

/** BPE of the characters a to e, trained on words: the most frequent pair is joined, the first among equals. */
export function trainBpe(
  name: string,
  words: readonly string[],
  merges: number,
  added: readonly string[] = [],
): Tokenizer {
  const vocab = new Map([..."abcde"].map((character, id) => [character, id]));
  const split = words.map((word) => [...word]);
  const found: Merge[] = [];
  while (found.length < merges) {
    const counts = new Map<string, number>();
    for (const symbols of split) {
      for (let i = 0; i + 1 < symbols.length; i++) {
        const pair = `${symbols[i]} ${symbols[i + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    const best = [...counts].toSorted(([, a], [, b]) => b - a)[0]?.[0].split(" ") as [string, string] | undefined;
    if (best === undefined) break;
    found.push(best);
    if (!vocab.has(best.join(""))) vocab.set(best.join(""), vocab.size);
    for (const symbols of split) joinAll(symbols, best);
  }
  const model = { unk_token: null, ignore_merges: false, byte_fallback: false, fuse_unk: false, dropout: null };
  const tokens = added.map((content, i) => special(content, vocab.size + i));
  const pipeline = { normalizer: null, pre_tokenizer: { type: "Whitespace" }, post_processor: null, decoder: null };
  return tokenizerOf(name, { kind: "BPE", vocab, merges: found, added: tokens, model, pipeline });
}

/** What a word becomes by a list of merges: an encoder of our own, to hold the others to. */
export function mergeWord(word: string, merges: readonly Merge[]): string[] {
  const symbols = [...word];
  for (;;) {
    const next = merges.find(([left, right]) => symbols.some((s, i) => s === left && symbols[i + 1] === right));
    if (next === undefined) return symbols;
    joinAll(symbols, next);
  }
}

function joinAll(symbols: string[], [left, right]: Merge): void {
  for (let i = 0; i + 1 < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) symbols.splice(i, 2, left + right);
  }
}
