import type { TokenizerConfig, TokenSource } from "../config/types.ts";
import { nearest, type Position, type Report } from "../errors.ts";
import { formatModelRef } from "../model/ref.ts";
import { someTokens, textsById } from "../tokenizer/added.ts";
import type { OutputTokenizer, VocabularyMember } from "./output-tokenizer.ts";

/** A row of a member's matrix. */
export interface MemberRow {
  member: number;
  row: number;
}

/** What stands in a row of the output for a model that has nothing of its own for it. */
export type Fallback = MemberRow | "zeros" | "mean" | readonly MemberRow[];

/** Where the rows of every model's embedding come from, the same for its head. */
export interface RowSources {
  /** Rows of the output: one for each id up to the last, then padding. */
  rows: number;
  /** By member and row of the output: the model's own row, or -1. */
  own: readonly Int32Array[];
  /** By row of the output; undefined where no model needs one. */
  fallbacks: readonly (Fallback | undefined)[];
  counts: VocabularyCounts;
}

export interface VocabularyCounts {
  tokens: number;
  /** Rows beyond the last token. */
  padding: number;
  /** By member: how many tokens it has itself. */
  own: readonly number[];
}

/**
 * Says for every token of the output which row it is in each model. A token that a model lacks gets, there, the base's
 * row; where the base lacks it, too, the row of the only model that has it, else the mean of the rows of those that do.
 * A recipe's own source goes before that, and with `force` before the model's own row. What no model has is zeros.
 */
export function findRowSources(output: OutputTokenizer, wanted: TokenizerConfig, report: Report): RowSources {
  const { tokenizer, members, base } = output;
  const texts = textsById(tokenizer.ids);
  const tokens = texts.length;
  const multiple = wanted.padToMultipleOf ?? 1;
  const rows = Math.ceil(tokens / multiple) * multiple;
  const own = members.map((member) => ownRows(member, texts, rows));
  const fallbacks: (Fallback | undefined)[] = new Array(rows);
  const baseIndex = base === undefined ? -1 : members.indexOf(base);
  const unknown: string[] = [];
  for (let id = 0; id < tokens; id++) {
    if (!own.some((list) => (list[id] as number) < 0)) continue;
    const token = texts[id];
    const fallback = token === undefined ? unnamedRow(id, output) : fallbackOf(id, own, baseIndex);
    if (fallback === "zeros" && token !== undefined) unknown.push(token);
    fallbacks[id] = fallback;
  }
  fallbacks.fill("mean", tokens, rows);
  const counts = {
    tokens,
    padding: rows - tokens,
    own: own.map((list) => list.reduce((n, row) => n + (row >= 0 ? 1 : 0), 0)),
  };
  const settled = override(wanted, output, own, fallbacks, report);
  const zeros = unknown.filter((token) => !settled.has(token));
  if (zeros.length > 0) {
    report.warn({
      code: "tokens-without-rows",
      message: `no model has a row for ${zeros.length === 1 ? "a token" : `${zeros.length} tokens`}, which then is zeros: ${someTokens(zeros)}`,
      at: wanted.at,
      hint: "tokens: with a source gives a token the row of another",
    });
  }
  return { rows, own, fallbacks, counts };
}

/** An id below the last that no token has keeps the row of the model whose ids the output has. */
function unnamedRow(id: number, { members, origin }: OutputTokenizer): Fallback {
  return origin !== undefined && id < origin.rows ? { member: members.indexOf(origin), row: id } : "mean";
}

function ownRows(
  { ids, rows: limit }: VocabularyMember,
  texts: readonly (string | undefined)[],
  rows: number,
): Int32Array {
  const list = new Int32Array(rows).fill(-1);
  for (let id = 0; id < texts.length; id++) {
    const token = texts[id];
    const row = token === undefined ? undefined : ids.get(token);
    if (row !== undefined && row < limit) list[id] = row;
  }
  return list;
}

function fallbackOf(id: number, own: readonly Int32Array[], base: number): Fallback {
  if (base >= 0 && (own[base]?.[id] as number) >= 0) return { member: base, row: own[base]?.[id] as number };
  const owners: MemberRow[] = [];
  own.forEach((list, member) => {
    const row = list[id] as number;
    if (row >= 0) owners.push({ member, row });
  });
  if (owners.length === 0) return "zeros";
  return owners.length === 1 ? (owners[0] as MemberRow) : owners;
}

/** Sets what the recipe says of single tokens. @returns the tokens that it gives a source. */
function override(
  wanted: TokenizerConfig,
  { tokenizer, members, base }: OutputTokenizer,
  own: readonly Int32Array[],
  fallbacks: (Fallback | undefined)[],
  report: Report,
): Set<string> {
  const settled = new Set<string>();
  for (const [token, { source, force }] of wanted.tokens) {
    const id = tokenizer.ids.get(token) as number;
    const given = source && rowOf(token, source, members, wanted.at, report);
    if (given !== undefined) fallbacks[id] = given;
    if (source !== undefined) settled.add(token);
    if (!force || (source !== undefined && given === undefined)) continue;
    // Without a source it is the one that the rule gives: the base's, or another owner's.
    fallbacks[id] ??= fallbackOf(id, own, base === undefined ? -1 : members.indexOf(base));
    for (const list of own) list[id] = -1;
  }
  return settled;
}

function rowOf(
  token: string,
  source: TokenSource,
  members: readonly VocabularyMember[],
  at: Position,
  report: Report,
): Fallback | undefined {
  if (source.kind === "zero") return "zeros";
  const what = `token ${JSON.stringify(token)}`;
  const key = formatModelRef(source.model.ref);
  const member = members.findIndex(({ from }) => formatModelRef(from.model.ref) === key);
  const one = members[member];
  if (one === undefined) {
    const names = members.map(({ from }) => formatModelRef(from.model.ref));
    const close = nearest(key, names);
    report.error({
      code: "token-source",
      message: `the source of ${what}, ${key}, is not among the merged models`,
      at: source.model.at,
      hint: close === undefined ? `the models: ${names.join(", ")}` : `did you mean ${close}?`,
    });
    return undefined;
  }
  const named = source.kind === "model" ? token : source.token;
  const row = typeof named === "number" ? named : one.ids.get(named);
  if (row !== undefined && row < one.rows && row >= 0) return { member, row };
  const close = typeof named === "string" ? nearest(named, one.ids.keys()) : undefined;
  const missing =
    typeof named === "number" || row !== undefined
      ? `id ${row} lies beyond the ${one.rows} rows of its embedding`
      : `it has no token ${JSON.stringify(named)}`;
  report.error({
    code: "token-source",
    message: `the source of ${what} is of no use: ${missing}`,
    at: source.model.at ?? at,
    model: one.from.model.name,
    hint: close === undefined ? undefined : `did you mean ${JSON.stringify(close)}?`,
  });
  return undefined;
}
