import type { Report } from "../errors.ts";
import { FormatError } from "../model/format-error.ts";
import { isObject, readJsonObject } from "../model/json-file.ts";
import { JsonError } from "../model/json-reader.ts";
import { readBoundedText } from "../model/text-file.ts";
import { type Model, sideFilePath } from "../model/types.ts";
import { allIds } from "./added.ts";
import { readLegacy } from "./legacy.ts";
import { addedToken, parseTokenizerJson, type TokenizerCore } from "./tokenizer-json.ts";
import type { JsonObject, Tokenizer } from "./types.ts";

/** The files that hold a vocabulary, the first that a folder has being read. */
export const VOCABULARY_FILES = ["tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"] as const;

/** A folder that may hold a tokenizer. */
export interface TokenizerFolder {
  /** For messages. */
  name: string;
  dir: string;
  /** Names of its files. */
  files: readonly string[];
  /** Where those lie that are not in `dir`: an adapter may bring its own. */
  sideFilePaths?: ReadonlyMap<string, string> | undefined;
}

/** A model's folder. */
export function tokenizerFolder({ name, dir, sideFiles, sideFilePaths }: Model): TokenizerFolder {
  return { name, dir, files: sideFiles, sideFilePaths };
}

/** Whether the folder has a file that `readTokenizer` starts from. */
export function hasTokenizer({ files }: Pick<TokenizerFolder, "files">): boolean {
  return VOCABULARY_FILES.some((name) => files.includes(name));
}

/**
 * Reads a folder's tokenizer: tokenizer.json, else an older format, which is converted.
 * @returns undefined where the folder has none, and where it cannot be read: then the report has an error.
 */
export function readTokenizer(folder: TokenizerFolder, report: Report): Tokenizer | undefined {
  const from = VOCABULARY_FILES.find((name) => folder.files.includes(name));
  if (from === undefined) return undefined;
  const config = readSide(folder, "tokenizer_config.json", report);
  const specialTokensMap = readSide(folder, "special_tokens_map.json", report);
  const core = readCore(folder, from, config ?? {}, specialTokensMap, report);
  if (core === undefined) return undefined;
  return {
    name: folder.name,
    dir: folder.dir,
    from,
    ...core,
    ids: allIds(core),
    config: config ?? {},
    specialTokensMap,
    roles: readRoles(specialTokensMap, config),
    chatTemplate: templateIn(folder, config ?? {}, report),
  };
}

function readCore(
  folder: TokenizerFolder,
  from: (typeof VOCABULARY_FILES)[number],
  config: JsonObject,
  specialTokensMap: JsonObject | undefined,
  report: Report,
): TokenizerCore | undefined {
  const path = sideFilePath(folder, from);
  try {
    if (from === "tokenizer.json") return withDeclared(parseTokenizerJson(readBoundedText(path)), config);
    return readLegacy({ ...folder, from, config, specialTokensMap: specialTokensMap ?? {} });
  } catch (error) {
    if (!(error instanceof FormatError) && !(error instanceof JsonError)) throw error;
    const hint = error instanceof FormatError ? error.hint : "fetch the file again: it is not whole, or no tokenizer";
    report.error({
      code: "bad-tokenizer",
      message: `${from} does not read: ${error.message}`,
      model: folder.name,
      path,
      hint,
    });
    return undefined;
  }
}

/**
 * With the added tokens that only tokenizer_config.json lists, as transformers adds them when it loads the folder; those
 * whose id another token has are left out.
 */
function withDeclared(core: TokenizerCore, { added_tokens_decoder: declared }: JsonObject): TokenizerCore {
  if (!isObject(declared)) return core;
  const known = allIds(core);
  const taken = new Set(known.values());
  const fresh = Object.entries(declared)
    .map(([id, token]) => addedToken(token, Number(id)))
    .filter(({ content, id }) => !known.has(content) && !taken.has(id));
  if (fresh.length === 0) return core;
  return { ...core, added: [...core.added, ...fresh].toSorted((a, b) => a.id - b.id) };
}

function readSide(folder: TokenizerFolder, name: string, report: Report): JsonObject | undefined {
  if (!folder.files.includes(name)) return undefined;
  return readJsonObject(sideFilePath(folder, name), `${name} of ${folder.name}`, report);
}

/** The text of a special token: written as text, or as an object with its flags. */
export function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return isObject(value) && typeof value.content === "string" ? value.content : undefined;
}

const ROLE = /^(bos|eos|unk|sep|pad|cls|mask)_token$/;

/** The last file that names a token decides; one that says null says nothing. */
function readRoles(...files: (JsonObject | undefined)[]): ReadonlyMap<string, string> {
  const roles = new Map<string, string>();
  for (const [key, value] of files.flatMap((file) => Object.entries(file ?? {}))) {
    const text = ROLE.test(key) ? tokenText(value) : undefined;
    if (text !== undefined) roles.set(key, text);
  }
  return roles;
}

/** A folder's default chat template. */
export function readChatTemplate(folder: TokenizerFolder, report: Report): string | undefined {
  return templateIn(folder, readSide(folder, "tokenizer_config.json", report) ?? {}, report);
}

/** The texts of `bos_token` and the like. */
export function readSpecialRoles(folder: TokenizerFolder, report: Report): ReadonlyMap<string, string> {
  const map = readSide(folder, "special_tokens_map.json", report);
  return readRoles(map, readSide(folder, "tokenizer_config.json", report));
}

/** From chat_template.jinja, else chat_template.json, else tokenizer_config.json: the order of transformers. */
function templateIn(folder: TokenizerFolder, config: JsonObject, report: Report): string | undefined {
  if (folder.files.includes("chat_template.jinja")) return readTemplate(folder, report);
  return templateOf(readSide(folder, "chat_template.json", report)?.chat_template) ?? templateOf(config.chat_template);
}

function readTemplate(folder: TokenizerFolder, report: Report): string | undefined {
  const path = sideFilePath(folder, "chat_template.jinja");
  try {
    return readBoundedText(path);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    report.error({ code: error.code, message: error.message, model: folder.name, path });
    return undefined;
  }
}

/** A template, or of several with names the default one. */
function templateOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (isObject(value)) return templateOf(value.default);
  if (!Array.isArray(value)) return undefined;
  return templateOf(value.find((entry) => isObject(entry) && entry.name === "default")?.template);
}
