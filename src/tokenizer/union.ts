import type { Report } from "../errors.ts";
import { nextId, someTokens, textsById, withAdded } from "./added.ts";
import { anchored, withAddedInVocabulary } from "./anchor.ts";
import { MergeTable, waysToJoin } from "./bpe.ts";
import type { AddedToken, Merge, Tokenizer } from "./types.ts";
import { bestScoreOf } from "./unigram.ts";

/** By how much a new Unigram piece is better than the pieces that the base makes of its text; worse, if nobody uses it. */
const MARGIN = 1e-4;

/**
 * The base's tokenizer with every token that another has and it lacks. Ids of the base stay; new ones follow its last.
 *
 * A text that all tokenizers cut into the same tokens is cut so by the union, too:
 * - BPE: the base's merges come first, so that a word first becomes what the base makes of it. After them come those
 *   merges of the others that make a new token. A merge of tokens that stand side by side in the common cut cannot be
 *   among them, or its owner would not have left them so. A token that the merges then do not reach (the base's joined
 *   its parts otherwise) gets merges from the pieces that are left, by way of other tokens; where there is no way it
 *   becomes an added token. Tokens that their own model never makes stay so.
 * - WordPiece takes the longest match: what is longest for all is so for the union.
 * - Unigram: a new piece is scored a hair above what the base makes of its text.
 *
 * Added tokens keep their flags; a token that is special in one input is special. Of flags that differ, the first's are
 * taken.
 */
export function unionTokenizer(first: Tokenizer, others: readonly Tokenizer[], report: Report): Tokenizer {
  const added = unionOfAdded(first, others, report);
  const fresh = newTokens(first, others, added);
  const base = fresh.length > 0 ? withAddedInVocabulary(first) : first;
  let next = nextId(base);
  const vocab = new Map(base.vocab);
  for (const token of fresh) vocab.set(token, next++);
  const { tokenizer, unreached } = extendModel(base, { ...base, vocab }, others, fresh, report);
  const numbered: AddedToken[] = [];
  for (const token of [...added.values(), ...unreached]) {
    const own = base.ids.get(token.content) ?? vocab.get(token.content);
    numbered.push({ ...token, id: own ?? next++ });
  }
  return anchored(withAdded(tokenizer, numbered));
}

function unionOfAdded(base: Tokenizer, others: readonly Tokenizer[], report: Report): Map<string, AddedToken> {
  const added = new Map(base.added.map((token) => [token.content, token]));
  const differing = new Map<string, string>();
  for (const { added: list, name } of others) {
    for (const token of list) {
      const before = added.get(token.content);
      if (before === undefined) added.set(token.content, token);
      else if (!sameFlags(before, token)) {
        differing.set(token.content, name);
        if (token.special && !before.special) added.set(token.content, { ...before, special: true });
      }
    }
  }
  if (differing.size > 0) {
    const names = [...differing.keys()];
    report.warn({
      code: "added-token-flags",
      message: `added tokens have other flags in other models: ${someTokens(names)}; the first model's are kept, but what is special in one stays special`,
      model: [...differing.values()][0],
    });
  }
  return added;
}

function sameFlags(a: AddedToken, b: AddedToken): boolean {
  return (["single_word", "lstrip", "rstrip", "normalized", "special"] as const).every((flag) => a[flag] === b[flag]);
}

/** Tokens of the others' vocabularies that the base lacks and nobody adds, in the order of the models and their ids. */
function newTokens(base: Tokenizer, others: readonly Tokenizer[], added: ReadonlyMap<string, AddedToken>): string[] {
  const fresh = new Set<string>();
  for (const { vocab } of others) {
    const own: [string, number][] = [];
    for (const entry of vocab) if (!base.ids.has(entry[0]) && !added.has(entry[0])) own.push(entry);
    own.sort((a, b) => a[1] - b[1]);
    for (const [token] of own) fresh.add(token);
  }
  return [...fresh];
}

/** `unreached`: what the model cannot make of a text. */
interface Extended {
  tokenizer: Tokenizer;
  unreached: readonly AddedToken[];
}

function extendModel(
  base: Tokenizer,
  grown: Tokenizer,
  others: readonly Tokenizer[],
  fresh: readonly string[],
  report: Report,
): Extended {
  if (fresh.length > 0 && base.kind === "BPE") return extendMerges(grown, others, fresh, report);
  const scored = base.kind === "Unigram" ? scorePieces(base, grown, others, fresh) : grown;
  return { tokenizer: scored, unreached: [] };
}

function scorePieces(
  base: Tokenizer,
  grown: Tokenizer,
  others: readonly Tokenizer[],
  fresh: readonly string[],
): Tokenizer {
  const bestScore = bestScoreOf(base);
  const owners = others.map((other) => ({ ...other, best: other.kind === "Unigram" ? bestScoreOf(other) : undefined }));
  const isUsed = (token: string) =>
    owners.some(({ vocab, scores, best }) => {
      const id = vocab.get(token);
      return id !== undefined && (best === undefined || best(token) <= (scores[id] as number));
    });
  const margins = fresh.map((token) => bestScore(token) + (isUsed(token) ? MARGIN : -MARGIN));
  return { ...grown, scores: [...base.scores, ...margins] };
}

function extendMerges(
  grown: Tokenizer,
  others: readonly Tokenizer[],
  fresh: readonly string[],
  report: Report,
): Extended {
  const isFresh = new Set(fresh);
  const table = new MergeTable(grown, grown.vocab);
  const merges: Merge[] = [...grown.merges];
  const add = (merge: Merge) => {
    if (table.add(merge)) merges.push(merge);
  };
  for (const other of others) {
    for (const merge of other.merges) if (isFresh.has(table.join(merge))) add(merge);
  }
  const unreached = fresh.filter((token) => !table.reaches(token));
  const dead = unreachedByOwners(unreached, others);
  const texts = textsById(grown.vocab);
  const isUsed = (text: string) => grown.vocab.has(text) && !dead.has(text);
  const rest = unreached.filter((token) => {
    if (dead.has(token)) return false;
    const pieces = table.encode(token)?.map((id) => texts[id] ?? "");
    const ways = pieces && waysToJoin(pieces, (pair) => table.join(pair), isUsed);
    for (const merge of ways ?? []) add(merge);
    return ways === undefined || !table.reaches(token);
  });
  if (rest.length > 0) reportUnreached(rest, report);
  return { tokenizer: { ...grown, merges }, unreached: rest.map((token) => asAdded(token, grown)) };
}

/** Tokens that their own tokenizers never make of a text, either: bytes, unused ones. They stay so. */
function unreachedByOwners(tokens: readonly string[], others: readonly Tokenizer[]): Set<string> {
  const dead = new Set(tokens);
  if (tokens.length === 0) return dead;
  for (const other of others) {
    if (other.kind !== "BPE") {
      for (const token of tokens) if (other.vocab.has(token)) dead.delete(token);
      continue;
    }
    const table = new MergeTable(other, other.vocab);
    for (const token of tokens) if (other.vocab.has(token) && table.reaches(token)) dead.delete(token);
  }
  return dead;
}

function reportUnreached(tokens: readonly string[], report: Report): void {
  report.warn({
    code: "unreached-tokens",
    message: `the base's merges keep ${tokens.length === 1 ? "a token" : `${tokens.length} tokens`} of other models from being made; added instead: ${someTokens(tokens)}`,
  });
}

/**
 * Found as whole words only: within words the base's cut stays. Where every piece of the text between added tokens gets a
 * blank put before it, the token takes the blank that follows, which then is that one.
 */
function asAdded(content: string, { pipeline }: Tokenizer): AddedToken {
  const prepends = /"type":"Prepend"|"prepend_scheme":"always"/.test(JSON.stringify(pipeline));
  return { id: -1, content, single_word: true, lstrip: false, rstrip: prepends, normalized: false, special: false };
}
