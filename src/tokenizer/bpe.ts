import type { Merge, Tokenizer } from "./types.ts";

/** Ids stay below 2^26 so that two of them fit a double's 53 bits. */
const PAIR = 2 ** 26;

/**
 * The merges of a BPE vocabulary, by the ids of the two tokens that they join. It grows: what is added later is less
 * urgent. For single tokens only: a token's own text, as `tokenizers` would encode it.
 */
export class MergeTable {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #ranks = new Map<number, number>();
  /** By rank: the id of the joined token. */
  readonly #joined: number[] = [];
  readonly #prefix: string;
  readonly #suffix: string;

  /** @param ids of every token that a merge names or makes; may grow while the table is used. */
  constructor({ model, merges }: Pick<Tokenizer, "model" | "merges">, ids: ReadonlyMap<string, number>) {
    this.#ids = ids;
    this.#prefix = typeof model.continuing_subword_prefix === "string" ? model.continuing_subword_prefix : "";
    this.#suffix = typeof model.end_of_word_suffix === "string" ? model.end_of_word_suffix : "";
    for (const merge of merges) this.add(merge);
  }

  /** The text that a merge makes. */
  join([left, right]: Merge): string {
    return left + (right.startsWith(this.#prefix) ? right.slice(this.#prefix.length) : right);
  }

  /** @returns whether it is new: its tokens and what it makes are there, and the two were not joined before. */
  add(merge: Merge): boolean {
    const left = this.#ids.get(merge[0]);
    const right = this.#ids.get(merge[1]);
    const joined = this.#ids.get(this.join(merge));
    if (left === undefined || right === undefined || joined === undefined) return false;
    const key = left * PAIR + right;
    if (this.#ranks.has(key)) return false;
    this.#ranks.set(key, this.#joined.length);
    this.#joined.push(joined);
    return true;
  }

  /**
   * The ids that a token's own text becomes; one, its own, where the merges reach it.
   * @returns undefined where the text has a character that is no token.
   */
  encode(token: string): number[] | undefined {
    const symbols = this.#symbols(token);
    if (symbols === undefined) return undefined;
    for (;;) {
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i + 1 < symbols.length; i++) {
        const rank = this.#ranks.get((symbols[i] as number) * PAIR + (symbols[i + 1] as number));
        if (rank !== undefined && rank < best) best = rank;
      }
      if (best === Number.POSITIVE_INFINITY) return symbols;
      this.#apply(symbols, best);
    }
  }

  /** Joins every pair of one rank, from left to right. */
  #apply(symbols: number[], rank: number): void {
    let to = 0;
    for (let i = 0; i < symbols.length; i++, to++) {
      const here = symbols[i] as number;
      const found = i + 1 < symbols.length ? this.#ranks.get(here * PAIR + (symbols[i + 1] as number)) : undefined;
      if (found === rank) {
        symbols[to] = this.#joined[rank] as number;
        i++;
      } else {
        symbols[to] = here;
      }
    }
    symbols.length = to;
  }

  #symbols(token: string): number[] | undefined {
    const ends = this.#suffix !== "" && token.endsWith(this.#suffix) && token !== this.#suffix;
    const starts = this.#prefix !== "" && token.startsWith(this.#prefix) && token !== this.#prefix;
    const body = token.slice(starts ? this.#prefix.length : 0, ends ? -this.#suffix.length : undefined);
    const symbols: number[] = [];
    let index = 0;
    for (const character of body) {
      index += character.length;
      const continues = starts || symbols.length > 0;
      const text = (continues ? this.#prefix : "") + character + (ends && index === body.length ? this.#suffix : "");
      const id = this.#ids.get(text);
      if (id === undefined) return undefined;
      symbols.push(id);
    }
    return symbols;
  }
}

/**
 * Merges that join neighbouring pieces to one token, by way of tokens only: the smallest joins first.
 * @returns undefined where there is no such way.
 */
export function waysToJoin(
  pieces: readonly string[],
  join: (merge: Merge) => string,
  isToken: (text: string) => boolean,
): Merge[] | undefined {
  if (pieces.length > MOST_PIECES) return undefined;
  const made = new Map<string, { text: string; merges: Merge[] }>();
  pieces.forEach((text, i) => {
    made.set(`${i} ${i + 1}`, { text, merges: [] });
  });
  for (let length = 2; length <= pieces.length; length++) {
    for (let from = 0; from + length <= pieces.length; from++) {
      const way = joinSpan(from, from + length, made, join, isToken);
      if (way !== undefined) made.set(`${from} ${from + length}`, way);
    }
  }
  return made.get(`0 ${pieces.length}`)?.merges;
}

/** Longer ones are no words. */
const MOST_PIECES = 24;

function joinSpan(
  from: number,
  to: number,
  made: ReadonlyMap<string, { text: string; merges: Merge[] }>,
  join: (merge: Merge) => string,
  isToken: (text: string) => boolean,
) {
  for (let middle = from + 1; middle < to; middle++) {
    const left = made.get(`${from} ${middle}`);
    const right = made.get(`${middle} ${to}`);
    if (left === undefined || right === undefined) continue;
    const merge: Merge = [left.text, right.text];
    const text = join(merge);
    if (isToken(text)) return { text, merges: [...left.merges, ...right.merges, merge] };
  }
  return undefined;
}
