import { PairTable } from "./pair-table.ts";
import type { Merge, Tokenizer } from "./types.ts";

/**
 * The merges of a BPE vocabulary, by the ids of the two tokens that they join. It grows: what is added later is less
 * urgent. For single tokens only: a token's own text, as `tokenizers` would encode it.
 */
export class MergeTable {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #ranks: PairTable;
  /** By rank: the id of the joined token. */
  readonly #joined: number[] = [];
  readonly #prefix: string;
  readonly #suffix: string;
  /** Room for one text's symbols, and for the ranks of the pairs that they stand in. */
  #symbols = new Int32Array(64);
  #found = new Int32Array(64);

  /** @param ids of every token that a merge names or makes; may grow while the table is used. */
  constructor({ model, merges }: Pick<Tokenizer, "model" | "merges">, ids: ReadonlyMap<string, number>) {
    this.#ids = ids;
    this.#ranks = new PairTable(merges.length);
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
    if (this.#ranks.get(left, right) >= 0) return false;
    this.#ranks.set(left, right, this.#joined.length);
    this.#joined.push(joined);
    return true;
  }

  /**
   * The ids that a token's own text becomes; one, its own, where the merges reach it.
   * @returns undefined where the text has a character that is no token.
   */
  encode(token: string): number[] | undefined {
    const count = this.#encode(token);
    return count < 0 ? undefined : Array.from(this.#symbols.subarray(0, count));
  }

  /** Whether the merges make a token of its own text. */
  reaches(token: string): boolean {
    return this.#encode(token) === 1;
  }

  /** Leaves the ids in the room for symbols. @returns how many they are; -1 where a character is no token. */
  #encode(token: string): number {
    let count = this.#split(token);
    for (;;) {
      let best = -1;
      for (let i = 0; i + 1 < count; i++) {
        const rank = this.#ranks.get(this.#symbols[i] as number, this.#symbols[i + 1] as number);
        this.#found[i] = rank;
        if (rank >= 0 && (best < 0 || rank < best)) best = rank;
      }
      if (best < 0) return count;
      count = this.#apply(best, count);
    }
  }

  /** Joins every pair of one rank, from left to right. @returns how many symbols are left. */
  #apply(rank: number, count: number): number {
    const joined = this.#joined[rank] as number;
    let to = 0;
    for (let i = 0; i < count; i++, to++) {
      const joins = i + 1 < count && this.#found[i] === rank;
      this.#symbols[to] = joins ? joined : (this.#symbols[i] as number);
      if (joins) i++;
    }
    return to;
  }

  #split(token: string): number {
    const ends = this.#suffix !== "" && token.endsWith(this.#suffix) && token !== this.#suffix;
    const starts = this.#prefix !== "" && token.startsWith(this.#prefix) && token !== this.#prefix;
    const from = starts ? this.#prefix.length : 0;
    const end = ends ? token.length - this.#suffix.length : token.length;
    if (end - from > this.#symbols.length) this.#makeRoom(end - from);
    let count = 0;
    for (let i = from; i < end; count++) {
      const length = (token.codePointAt(i) ?? 0) > 0xffff ? 2 : 1;
      let text = token.slice(i, i + length);
      i += length;
      if (starts || count > 0) text = this.#prefix + text;
      if (ends && i === end) text += this.#suffix;
      const id = this.#ids.get(text);
      if (id === undefined) return -1;
      this.#symbols[count] = id;
    }
    return count;
  }

  #makeRoom(symbols: number): void {
    this.#symbols = new Int32Array(2 * symbols);
    this.#found = new Int32Array(2 * symbols);
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
  const count = pieces.length;
  if (count > MOST_PIECES) return undefined;
  // By first piece and number of pieces: the joined text, and where its left part ends.
  const texts: (string | undefined)[] = new Array(count * (count + 1));
  const middles = new Int32Array(count * (count + 1));
  const at = (from: number, length: number) => from * (count + 1) + length;
  for (let i = 0; i < count; i++) texts[at(i, 1)] = pieces[i];
  for (let length = 2; length <= count; length++) {
    for (let from = 0; from + length <= count; from++) {
      for (let first = 1; first < length && texts[at(from, length)] === undefined; first++) {
        const left = texts[at(from, first)];
        const right = left === undefined ? undefined : texts[at(from + first, length - first)];
        if (left === undefined || right === undefined) continue;
        const text = join([left, right]);
        if (!isToken(text)) continue;
        texts[at(from, length)] = text;
        middles[at(from, length)] = first;
      }
    }
  }
  if (texts[at(0, count)] === undefined) return undefined;
  const merges: Merge[] = [];
  const collect = (from: number, length: number): void => {
    if (length === 1) return;
    const first = middles[at(from, length)] as number;
    collect(from, first);
    collect(from + first, length - first);
    merges.push([texts[at(from, first)] as string, texts[at(from + first, length - first)] as string]);
  };
  collect(0, count);
  return merges;
}

/** Longer ones are no words. */
const MOST_PIECES = 24;
