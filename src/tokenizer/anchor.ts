import { withAdded } from "./added.ts";
import type { Tokenizer } from "./types.ts";

/**
 * The tokenizer with its added tokens in the model's vocabulary, too, where that is needed to keep their ids.
 *
 * `tokenizers` does not read the ids of added tokens that the vocabulary lacks: it counts on from the vocabulary's size.
 * Where a vocabulary grows behind added tokens, or has gaps, they would get other ids.
 */
export function anchored(tokenizer: Tokenizer): Tokenizer {
  return countsOn(tokenizer) ? tokenizer : withAddedInVocabulary(tokenizer);
}

/** Whether counting on from the vocabulary gives every added token the id that it has. */
function countsOn({ vocab, added }: Tokenizer): boolean {
  let next = vocab.size;
  for (const { content, id } of added) {
    if (vocab.has(content)) continue;
    if (id !== next) return false;
    next++;
  }
  return true;
}

/** Every added token is in the vocabulary. A Unigram vocabulary, a list, gets pieces that no text has for its gaps. */
export function withAddedInVocabulary(tokenizer: Tokenizer): Tokenizer {
  const { added, kind } = tokenizer;
  if (added.every(({ content }) => tokenizer.vocab.has(content))) return tokenizer;
  const vocab = new Map(tokenizer.vocab);
  for (const { content, id } of added) vocab.set(content, id);
  if (kind !== "Unigram") return withAdded({ ...tokenizer, vocab }, added);
  const scores = [...tokenizer.scores];
  const named = new Set(vocab.values());
  const size = Math.max(...named) + 1;
  for (let id = 0; id < size; id++) {
    scores[id] ??= 0;
    if (!named.has(id)) vocab.set(`<unused_${id}>`, id);
  }
  return withAdded({ ...tokenizer, vocab, scores }, added);
}
