import { resolveWeight } from "../architecture/resolve.ts";
import type { MergeConfig, TokenizerConfig } from "../config/types.ts";
import type { Report } from "../errors.ts";
import { readNamed } from "../model/attribute.ts";
import { listFiles } from "../model/folder-files.ts";
import { locateModel } from "../model/locate.ts";
import { formatModelRef, type ModelRef } from "../model/ref.ts";
import { nextId, withAdded } from "../tokenizer/added.ts";
import { anchored } from "../tokenizer/anchor.ts";
import { hasTokenizer, readTokenizer, type TokenizerFolder, tokenizerFolder } from "../tokenizer/read.ts";
import { stripTokenizer } from "../tokenizer/strip.ts";
import type { AddedToken, Tokenizer } from "../tokenizer/types.ts";
import { unionTokenizer } from "../tokenizer/union.ts";
import type { PlanModel, PlanModels } from "./models.ts";

/** A model of the merge, and which row of its embedding each token has. */
export interface VocabularyMember {
  from: PlanModel;
  /** Undefined where the model has none of its own, and its ids are taken to be the base's. */
  tokenizer: Tokenizer | undefined;
  ids: ReadonlyMap<string, number>;
  /** Of the embedding and the head, the fewest. */
  rows: number;
}

/** The tokenizer that the output gets. */
export interface OutputTokenizer {
  tokenizer: Tokenizer;
  /** The folder whose other tokenizer files go along. */
  folder: TokenizerFolder;
  /** Whether its vocabulary is another than the folder's files say. */
  isBuilt: boolean;
  /** The models of the recipe, in its order. */
  members: readonly VocabularyMember[];
  /** Of `members`; undefined where the recipe has no base. */
  base: VocabularyMember | undefined;
  /** Of `members`: whose ids the output keeps; undefined where they are those of a model outside the recipe. */
  origin: VocabularyMember | undefined;
}

/**
 * Reads every model's tokenizer and makes the output's: the base's (without a base the first model's), another
 * model's, or the union of all; then the tokens that the recipe names and nobody has.
 * @returns undefined where that fails: then the report has errors.
 */
export function buildOutputTokenizer(
  config: MergeConfig,
  wanted: TokenizerConfig,
  models: PlanModels,
  cacheDir: string | undefined,
  report: Report,
): OutputTokenizer | undefined {
  const first = models.base ?? models.donor;
  const read = readAll(models, report);
  if (read === undefined) return undefined;
  const base = read.get(first);
  const source = wanted.source;
  const named = typeof source === "string" ? undefined : source;
  const other = named && readOther(config, named, read, models, cacheDir, report);
  if (named !== undefined && other === undefined) return undefined;
  const start = other ?? base;
  if (start === undefined) {
    report.error({
      code: "no-tokenizer",
      message: `the ${models.base === undefined ? "first model" : "base model"} has no tokenizer: ${first.model.dir} has neither tokenizer.json nor an older format`,
      at: wanted.at,
      model: first.model.name,
      hint: "fetch its tokenizer files, or name in tokenizer_source a model that has them",
    });
    return undefined;
  }
  const members = memberList(models, read, base ?? start, report);
  // A model with and without an adapter that brings tokens has one folder, and two tokenizers.
  const own =
    members.find(({ tokenizer }) => tokenizer === start) ?? members.find(({ from }) => from.model.dir === start.dir);
  const stripped = own === undefined ? start : stripTokenizer(start, own.rows, report);
  const united = source === "union" ? unite(stripped, members, first, report) : stripped;
  const tokenizer = withNamedTokens(united, wanted, members);
  return {
    tokenizer,
    folder: own ? tokenizerFolder(own.from.model) : { name: start.name, dir: start.dir, files: listFiles(start.dir) },
    isBuilt: tokenizer !== start,
    members,
    base: members.find(({ from }) => from === models.base),
    origin: own,
  };
}

function readAll(models: PlanModels, report: Report): Map<PlanModel, Tokenizer | undefined> | undefined {
  const read = new Map<PlanModel, Tokenizer | undefined>();
  const before = report.errors.length;
  for (const one of models.all) {
    read.set(one, readTokenizer(tokenizerFolder(one.model), report));
  }
  return report.errors.length > before ? undefined : read;
}

/** A tokenizer that the recipe names: of one of its models, or of a folder that has only that. */
function readOther(
  config: MergeConfig,
  named: Exclude<TokenizerConfig["source"], string>,
  read: ReadonlyMap<PlanModel, Tokenizer | undefined>,
  models: PlanModels,
  cacheDir: string | undefined,
  report: Report,
): Tokenizer | undefined {
  const own = models.all.find(({ model }) => formatModelRef(model.ref) === formatModelRef(named.ref));
  const found =
    own !== undefined
      ? read.get(own)
      : readNamed(named, report, (into, name) => {
          const folder = tokenizerPlace(named.ref, cacheDir, into);
          return folder && readTokenizer({ name, ...folder }, into);
        });
  if (found === undefined && report.errors.length === 0) {
    report.error({
      code: "no-tokenizer",
      message: `${config.file} takes the tokenizer of a model that has none`,
      at: named.at,
      hint: "name a model whose folder has tokenizer.json, or use base or union",
    });
  }
  return found;
}

/** The folder of a model's tokenizer: the adapter's, where it has one that brings tokens along. */
function tokenizerPlace(
  { model, lora }: ModelRef,
  cacheDir: string | undefined,
  report: Report,
): { dir: string; files: string[] } | undefined {
  const places = [lora, model].flatMap((path) => {
    const dir = path && locateModel(path, cacheDir, report);
    return dir === undefined ? [] : [{ dir, files: listFiles(dir) }];
  });
  return places.find(hasTokenizer) ?? places.at(-1);
}

/** Rows of a model's embedding and head, the fewest; 0 where it has neither. */
function matrixRows({ model, architecture }: PlanModel): number {
  const counts: number[] = [];
  for (const { before, after } of architecture.modules) {
    for (const spec of [...before, ...after]) {
      const rows = spec.role && resolveWeight(spec, model, architecture)?.view.shape[0];
      if (rows !== undefined) counts.push(rows);
    }
  }
  return counts.length === 0 ? 0 : Math.min(...counts);
}

function memberList(
  models: PlanModels,
  read: ReadonlyMap<PlanModel, Tokenizer | undefined>,
  assumed: Tokenizer,
  report: Report,
): VocabularyMember[] {
  return models.all.map((from) => {
    const tokenizer = read.get(from);
    const rows = matrixRows(from);
    if (tokenizer === undefined) {
      report.warn({
        code: "assumed-tokenizer",
        message: `the model has no tokenizer: its ids are taken to mean what they mean in ${assumed.name}`,
        at: from.at,
        model: from.model.name,
      });
    }
    return { from, tokenizer, ids: (tokenizer ?? assumed).ids, rows };
  });
}

function unite(base: Tokenizer, members: readonly VocabularyMember[], first: PlanModel, report: Report): Tokenizer {
  const others: Tokenizer[] = [];
  for (const { from, tokenizer, rows } of members) {
    if (from === first || tokenizer === undefined) continue;
    reportStrangers(base, tokenizer, from, report);
    others.push(stripTokenizer(tokenizer, rows, report));
  }
  return unionTokenizer(base, others, report);
}

/** Where fewer tokens are shared, the two spell them differently, or have another language. */
const LEAST_SHARED = 0.2;

function reportStrangers(base: Tokenizer, other: Tokenizer, { at }: PlanModel, report: Report): void {
  let shared = 0;
  for (const token of other.ids.keys()) if (base.ids.has(token)) shared++;
  const smaller = Math.min(base.ids.size, other.ids.size);
  if (shared >= LEAST_SHARED * smaller && base.kind === other.kind) return;
  report.warn({
    code: "few-shared-tokens",
    message: `of ${smaller} tokens only ${shared} are the same text in ${base.name} (${base.kind}) and ${other.name} (${other.kind}): the others keep rows of their own`,
    at,
    model: other.name,
  });
}

/** New tokens that the recipe names, each with the flags that a model gives it. */
function withNamedTokens(
  tokenizer: Tokenizer,
  { tokens }: TokenizerConfig,
  members: readonly VocabularyMember[],
): Tokenizer {
  const missing = [...tokens.keys()].filter((token) => !tokenizer.ids.has(token));
  if (missing.length === 0) return tokenizer;
  let next = nextId(tokenizer);
  const added = missing.map((content): AddedToken => {
    const known = members.flatMap((one) => one.tokenizer?.added.find((token) => token.content === content) ?? [])[0];
    const plain = { content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
    return { ...(known ?? plain), id: next++ };
  });
  return anchored(withAdded(tokenizer, [...tokenizer.added, ...added]));
}
