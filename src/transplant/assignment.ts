import { keyOf, type Token, type Vocabulary } from "./vocabulary.ts";

/** Where each row of the new matrix comes from. */
export interface Assignment {
  /** Rows of tokens that both have and both rows of which can be trusted: what approximations go by. */
  shared: { original: Uint32Array; donor: Uint32Array };
  /** Rows that are copied, and where to. */
  copied: { from: Uint32Array; to: Uint32Array };
  /** Rows to approximate, by the donor's ids. */
  targets: Uint32Array;
  /** How many tokens were found which way; `zero` are given up. */
  counts: { exact: number; byte: number; prefix: number; approximated: number; zero: number };
}

export interface AssignmentRules {
  /** Rows that the matrices have: tokens beyond them have none. */
  originalRows: number;
  donorRows: number;
  /** Take the row of the longest prefix of a token; of a byte as text or as `<0x..>`. */
  prefix: boolean;
  byte: boolean;
  /** Approximations read the donor's row of a token. */
  needsDonorRow: boolean;
  /** By id: whether a token looks trained. Undefined: all do. */
  trained?: { original: Uint8Array; donor: Uint8Array } | undefined;
}

/**
 * Decides for every token of the donor where its row comes from: the model's row of the same token, else (where asked
 * for) of its byte or of its longest prefix, else an approximation; zeros for tokens that neither model has trained, or
 * whose row the donor lacks.
 */
export function assign(original: Vocabulary, donor: Vocabulary, rules: AssignmentRules): Assignment {
  const isTrained = (side: "original" | "donor", id: number) => rules.trained?.[side][id] !== 0;
  const own = (key: string): Token | undefined => {
    const token = original.byKey.get(key);
    return token !== undefined && token.id < rules.originalRows ? token : undefined;
  };
  // A token that looks untrained in either model is no source.
  const source = (key: string): Token | undefined => {
    const token = own(key);
    const counterpart = token && donor.byKey.get(key);
    if (token === undefined || rules.trained === undefined) return token;
    const both = isTrained("original", token.id) && counterpart !== undefined && isTrained("donor", counterpart.id);
    return both ? token : undefined;
  };
  const shared: [number, number][] = [];
  const copied: [number, number][] = [];
  const targets: number[] = [];
  const counts = { exact: 0, byte: 0, prefix: 0, approximated: 0, zero: 0 };
  const copy = (from: Token, to: Token, way: "exact" | "byte" | "prefix") => {
    copied.push([from.id, to.id]);
    counts[way]++;
  };
  for (const token of donor.tokens) {
    const match = own(token.key);
    const trusted = source(token.key);
    const hasRow = token.id < rules.donorRows;
    if (trusted && hasRow && donor.byKey.get(token.key) === token) shared.push([trusted.id, token.id]);
    if (rules.trained && !isTrained("donor", token.id) && !(match && isTrained("original", match.id))) counts.zero++;
    else if (trusted) copy(trusted, token, "exact");
    else {
      const byte = rules.byte ? asByte(token, source) : undefined;
      const prefix = byte === undefined && rules.prefix ? longestPrefix(token, source) : undefined;
      if (byte) copy(byte, token, "byte");
      else if (prefix) copy(prefix, token, "prefix");
      else if (!hasRow && rules.needsDonorRow) counts.zero++;
      else {
        targets.push(token.id);
        counts.approximated++;
      }
    }
  }
  return {
    shared: { original: column(shared, 0), donor: column(shared, 1) },
    copied: { from: column(copied, 0), to: column(copied, 1) },
    targets: Uint32Array.from(targets),
    counts,
  };
}

function column(pairs: readonly [number, number][], index: 0 | 1): Uint32Array {
  return Uint32Array.from(pairs, (pair) => pair[index]);
}

/** A token of one byte, in its other form. */
function asByte({ kind, value }: Token, find: (key: string) => Token | undefined): Token | undefined {
  if (value.length !== 1) return undefined;
  if (kind === "text") return find(keyOf("byte", value));
  return kind === "byte" ? find(keyOf("text", value)) : undefined;
}

/** Shorter by one byte at a time; blanks alone are no prefix. Special tokens have none. */
function longestPrefix({ kind, value }: Token, find: (key: string) => Token | undefined): Token | undefined {
  if (kind !== "text") return undefined;
  for (let length = value.length - 1; length > 0; length--) {
    const prefix = value.slice(0, length);
    if (prefix.trim() === "") return undefined;
    const token = find(keyOf("text", prefix));
    if (token !== undefined) return token;
  }
  return undefined;
}
