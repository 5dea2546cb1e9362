import type { Tokenizer } from "../tokenizer/types.ts";

/**
 * What a token stands for, whichever tokenizer spells it.
 *
 * - `role`: the end of a text, padding and the like: tokens of one role are the same, whatever their text.
 * - `special`: another token that no text is cut into; the same where its text is.
 * - `byte`: a byte that has no token as text (`<0x0A>`).
 * - `text`: the bytes it adds to a text, so that `Ġthe` of one tokenizer is `▁the` of another.
 */
export interface Token {
  id: number;
  kind: "role" | "special" | "byte" | "text";
  /** The role, or bytes as characters from U+0000 to U+00FF. */
  value: string;
  /** Equal for tokens that stand for the same. */
  key: string;
}

export interface Vocabulary {
  /** In the order of their ids. */
  tokens: readonly Token[];
  /** The first token of each key. */
  byKey: ReadonlyMap<string, Token>;
  /** Names of tokens as the tokenizer spells them, by id: for messages. */
  spelling: ReadonlyMap<number, string>;
}

const BYTE = /^<0x([0-9A-F]{2})>$/;
/** The order in which roles are looked at, for a token that has several. */
const ROLES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/** Reads every token of a tokenizer for what it stands for. */
export function readVocabulary(tokenizer: Tokenizer): Vocabulary {
  const roles = new Map<string, string>();
  for (const role of ROLES) {
    const text = tokenizer.roles.get(role);
    if (text !== undefined && !roles.has(text)) roles.set(text, role);
  }
  const added = new Map(tokenizer.added.map((token) => [token.content, token]));
  const bytesOf = spellingOf(tokenizer);
  const tokens: Token[] = [];
  for (const [text, id] of tokenizer.ids) {
    const role = roles.get(text);
    const own = added.get(text);
    const byte = BYTE.exec(text)?.[1];
    if (role !== undefined) tokens.push(token(id, "role", role));
    else if (own !== undefined) tokens.push(token(id, own.special ? "special" : "text", utf8(text)));
    else if (byte !== undefined) tokens.push(token(id, "byte", String.fromCharCode(Number.parseInt(byte, 16))));
    else tokens.push(token(id, "text", bytesOf(text)));
  }
  tokens.sort((a, b) => a.id - b.id);
  const byKey = new Map<string, Token>();
  for (const one of tokens) if (!byKey.has(one.key)) byKey.set(one.key, one);
  return { tokens, byKey, spelling: new Map([...tokenizer.ids].map(([text, id]) => [id, text])) };
}

/** Special tokens and text of the same bytes are the same: what one model marks as special is plain in another. */
function token(id: number, kind: Token["kind"], value: string): Token {
  return { id, kind, value, key: keyOf(kind, value) };
}

export function keyOf(kind: Token["kind"], value: string): string {
  return `${kind === "special" ? "text" : kind} ${value}`;
}

/** UTF-8 bytes as characters. */
function utf8(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** From a token as the vocabulary spells it to the bytes it adds to a text. */
function spellingOf(tokenizer: Tokenizer): (text: string) => string {
  const { kind, pipeline, model } = tokenizer;
  if (mentions(pipeline.pre_tokenizer, "ByteLevel") || mentions(pipeline.decoder, "ByteLevel")) {
    return (text) => byteLevel(text) ?? utf8(text);
  }
  if (kind === "WordPiece") {
    const prefix = typeof model.continuing_subword_prefix === "string" ? model.continuing_subword_prefix : "##";
    return (text) => utf8(text.startsWith(prefix) ? text.slice(prefix.length) : ` ${text}`);
  }
  if (kind === "BPE" || kind === "Unigram") return (text) => utf8(text.replaceAll("▁", " "));
  return utf8;
}

/** Whether a part of tokenizer.json is, or holds, one of that type. */
function mentions(part: unknown, type: string): boolean {
  if (typeof part !== "object" || part === null) return false;
  if ((part as { type?: unknown }).type === type) return true;
  return Object.values(part).some((inner) => mentions(inner, type));
}

/**
 * GPT-2 spells bytes as printable characters: those that are printable in Latin-1 as themselves, the others from U+0100
 * on, in order.
 */
const BYTE_OF_CHARACTER: ReadonlyMap<string, string> = (() => {
  const isPlain = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  const map = new Map<string, string>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    map.set(String.fromCharCode(isPlain(byte) ? byte : next++), String.fromCharCode(byte));
  }
  return map;
})();

/** Undefined where a character stands for no byte. */
function byteLevel(text: string): string | undefined {
  let bytes = "";
  for (const character of text) {
    const byte = BYTE_OF_CHARACTER.get(character);
    if (byte === undefined) return undefined;
    bytes += byte;
  }
  return bytes;
}
