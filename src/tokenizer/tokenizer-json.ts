import { FormatError } from "../model/format-error.ts";
import { isObject } from "../model/json-file.ts";
import { CLOSE_BRACE, CLOSE_BRACKET, JsonReader, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "../model/json-reader.ts";
import type { AddedToken, JsonObject, Merge, Tokenizer, TokenizerKind } from "./types.ts";

/** What tokenizer.json says, and what a conversion from older files makes. */
export type TokenizerCore = Pick<
  Tokenizer,
  "kind" | "vocab" | "merges" | "mergesAsText" | "scores" | "added" | "model" | "pipeline"
>;

/** Rows are counted in 32 bits. */
const MOST_IDS = 2 ** 31;

interface ModelPart {
  vocab: Map<string, number>;
  merges: Merge[];
  mergesAsText: boolean;
  scores: number[];
  rest: Record<string, unknown>;
  isList: boolean;
}

/**
 * Reads the text of a tokenizer.json of any version. Tens of megabytes are common, so that this reads member by member:
 * half the time of JSON.parse, and a token that stands twice is seen.
 * @throws FormatError or JsonError where it is not one.
 */
export function parseTokenizerJson(text: string): TokenizerCore {
  const reader = new JsonReader(text);
  const pipeline: Record<string, unknown> = {};
  let part: ModelPart | undefined;
  let added: AddedToken[] = [];
  if (reader.enter(OPEN_BRACE, CLOSE_BRACE)) {
    do {
      const key = reader.key();
      if (key === "model" && reader.peek() === OPEN_BRACE) part = readModel(reader);
      else if (key === "added_tokens") added = readAdded(reader.value());
      else pipeline[key] = reader.value();
    } while (reader.next(CLOSE_BRACE));
  }
  reader.end();
  if (part === undefined) throw badTokenizer('it has no "model"');
  const kind = kindOf(part);
  const { vocab, merges, mergesAsText, scores, rest } = part;
  const core = { kind, vocab, merges, mergesAsText, scores, added, model: rest, pipeline };
  checkCore(core);
  return core;
}

function readModel(reader: JsonReader): ModelPart {
  const part: ModelPart = { vocab: new Map(), merges: [], mergesAsText: false, scores: [], rest: {}, isList: false };
  if (!reader.enter(OPEN_BRACE, CLOSE_BRACE)) return part;
  do {
    const key = reader.key();
    if (key === "vocab" && reader.peek() === OPEN_BRACKET) readPieces(reader, part);
    else if (key === "vocab") readVocab(reader, part.vocab);
    else if (key === "merges") readMerges(reader, part);
    else part.rest[key] = reader.value();
  } while (reader.next(CLOSE_BRACE));
  return part;
}

function readVocab(reader: JsonReader, vocab: Map<string, number>): void {
  if (!reader.enter(OPEN_BRACE, CLOSE_BRACE)) return;
  do {
    const token = reader.key();
    const id = reader.number();
    if (vocab.has(token)) throw twice(token);
    vocab.set(token, id);
  } while (reader.next(CLOSE_BRACE));
}

/** Unigram: a list of pairs of token and score, whose ids are their positions. */
function readPieces(reader: JsonReader, part: ModelPart): void {
  part.isList = true;
  if (!reader.enter(OPEN_BRACKET, CLOSE_BRACKET)) return;
  do {
    reader.enter(OPEN_BRACKET, CLOSE_BRACKET);
    const token = reader.string();
    reader.next(CLOSE_BRACKET);
    const score = reader.number();
    if (reader.next(CLOSE_BRACKET)) throw badTokenizer(`the piece ${JSON.stringify(token)} is not a pair`);
    if (part.vocab.has(token)) throw twice(token);
    part.vocab.set(token, part.scores.length);
    part.scores.push(score);
  } while (reader.next(CLOSE_BRACKET));
}

function readMerges(reader: JsonReader, part: ModelPart): void {
  if (!reader.enter(OPEN_BRACKET, CLOSE_BRACKET)) return;
  part.mergesAsText = reader.peek() === QUOTE;
  do {
    part.merges.push(reader.peek() === QUOTE ? parseMerge(reader.string()) : readPair(reader));
  } while (reader.next(CLOSE_BRACKET));
}

function readPair(reader: JsonReader): Merge {
  reader.enter(OPEN_BRACKET, CLOSE_BRACKET);
  const left = reader.string();
  reader.next(CLOSE_BRACKET);
  const right = reader.string();
  if (reader.next(CLOSE_BRACKET)) throw badTokenizer("a merge is not a pair of tokens");
  return [left, right];
}

/** `left right`, as older versions write it. @throws FormatError */
export function parseMerge(text: string): Merge {
  const space = text.indexOf(" ");
  if (space <= 0 || space === text.length - 1 || text.indexOf(" ", space + 1) >= 0) {
    throw badTokenizer(`the merge ${JSON.stringify(text)} is not a pair of tokens`);
  }
  return [text.slice(0, space), text.slice(space + 1)];
}

function readAdded(value: unknown): AddedToken[] {
  if (!Array.isArray(value)) throw badTokenizer("added_tokens is not a list");
  return value.map((entry) => addedToken(entry)).toSorted((a, b) => a.id - b.id);
}

/** @throws FormatError where there is no id or no text. */
export function addedToken(entry: unknown, id?: number): AddedToken {
  const fields: JsonObject = isObject(entry) ? entry : {};
  const own = id ?? fields.id;
  if (typeof fields.content !== "string" || !isId(own)) {
    throw badTokenizer(`an added token needs an id and its content: ${JSON.stringify(entry)}`);
  }
  const special = fields.special === true;
  return {
    id: own,
    content: fields.content,
    single_word: fields.single_word === true,
    lstrip: fields.lstrip === true,
    rstrip: fields.rstrip === true,
    normalized: typeof fields.normalized === "boolean" ? fields.normalized : !special,
    special,
  };
}

function isId(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < MOST_IDS;
}

function kindOf({ rest, isList, merges }: ModelPart): TokenizerKind {
  const { type } = rest;
  if (type === "BPE" || type === "WordPiece" || type === "Unigram" || type === "WordLevel") return type;
  if (type !== undefined) throw badTokenizer(`no model of a tokenizer is called ${JSON.stringify(type)}`);
  // Versions before 0.10 do not name it.
  if (isList) return "Unigram";
  if (merges.length > 0) return "BPE";
  return "max_input_chars_per_word" in rest ? "WordPiece" : "WordLevel";
}

/** @throws FormatError where a token has two ids, or two tokens have one. */
export function checkCore({ kind, vocab, added, scores }: TokenizerCore): void {
  if (vocab.size === 0 && added.length === 0) throw badTokenizer("it has no tokens");
  if (kind === "Unigram" && scores.length !== vocab.size) throw badTokenizer("its vocabulary is not a list of pieces");
  const owners: string[] = [];
  for (const [token, id] of vocab) {
    if (!isId(id)) {
      throw badTokenizer(
        `the id of token ${JSON.stringify(token)} is ${typeof id === "number" ? id : JSON.stringify(id)}`,
      );
    }
    const other = owners[id];
    if (other !== undefined) throw sharedId(token, other, id);
    owners[id] = token;
  }
  const seen = new Map<string, number>();
  for (const { content, id } of added) {
    const before = seen.get(content) ?? vocab.get(content);
    if (before !== undefined && before !== id) throw twice(content, before, id);
    const other = owners[id];
    if (other !== undefined && other !== content) throw sharedId(content, other, id);
    seen.set(content, id);
    owners[id] = content;
  }
}

function twice(token: string, ...ids: number[]): FormatError {
  const where = ids.length > 0 ? `: with the ids ${ids.join(" and ")}` : "";
  return badTokenizer(`the token ${JSON.stringify(token)} is named twice${where}`);
}

function sharedId(token: string, other: string, id: number): FormatError {
  return badTokenizer(`${JSON.stringify(token)} and ${JSON.stringify(other)} have the same id ${id}`);
}

/** @param message what is wrong with the file, with "it" for the file. */
export function badTokenizer(message: string): FormatError {
  return new FormatError("bad-tokenizer", message);
}
