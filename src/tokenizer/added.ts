import type { AddedToken, Tokenizer } from "./types.ts";

/** Every token's id, added ones included. */
export function allIds({ vocab, added }: Pick<Tokenizer, "vocab" | "added">): ReadonlyMap<string, number> {
  if (added.every(({ content }) => vocab.has(content))) return vocab;
  const ids = new Map(vocab);
  for (const { content, id } of added) ids.set(content, id);
  return ids;
}

/** The tokenizer with these added tokens instead of its own. */
export function withAdded(tokenizer: Tokenizer, added: readonly AddedToken[]): Tokenizer {
  const sorted = added.toSorted((a, b) => a.id - b.id);
  return { ...tokenizer, added: sorted, ids: allIds({ vocab: tokenizer.vocab, added: sorted }) };
}

/** The first id beyond all that are taken. */
export function nextId({ ids }: Pick<Tokenizer, "ids">): number {
  let largest = -1;
  for (const id of ids.values()) if (id > largest) largest = id;
  return largest + 1;
}

/** By id the token's text. */
export function textsById(ids: ReadonlyMap<string, number>): string[] {
  const texts: string[] = [];
  for (const [token, id] of ids) texts[id] = token;
  return texts;
}

/** The first tokens, and how many more there are: for messages. */
export function someTokens(tokens: readonly string[]): string {
  const more = tokens.length > 3 ? ` and ${tokens.length - 3} more` : "";
  const shown = tokens.slice(0, 3).map((token) => JSON.stringify(token));
  return `${shown.join(", ")}${more}`;
}
