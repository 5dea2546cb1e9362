import type { Tokenizer } from "./types.ts";

/** How far below the worst piece `tokenizers` puts a character that is no piece. */
const UNKNOWN_PENALTY = 10;

/** Finds the best score that a Unigram vocabulary gives a text: a sum of log probabilities over its pieces. */
export function bestScoreOf({ vocab, scores }: Pick<Tokenizer, "vocab" | "scores">): (text: string) => number {
  let longest = 1;
  for (const token of vocab.keys()) longest = Math.max(longest, token.length);
  let least = 0;
  for (const score of scores) least = Math.min(least, score);
  const unknown = least - UNKNOWN_PENALTY;
  return (text) => {
    const best = new Float64Array(text.length + 1).fill(Number.NEGATIVE_INFINITY);
    best[0] = 0;
    for (let from = 0; from < text.length; ) {
      const here = best[from] as number;
      const step = (text.codePointAt(from) ?? 0) > 0xffff ? 2 : 1;
      const reach = (to: number, score: number) => {
        if (here + score > (best[to] as number)) best[to] = here + score;
      };
      if (!vocab.has(text.slice(from, from + step))) reach(from + step, unknown);
      for (let to = from + step; to <= Math.min(text.length, from + longest); to++) {
        const id = vocab.get(text.slice(from, to));
        if (id !== undefined) reach(to, scores[id] as number);
      }
      from += step;
    }
    return best[text.length] as number;
  };
}
