import { type Document, type ErrorCode, isScalar, Lexer, LineCounter, parseAllDocuments } from "yaml";
import type { Position, Problem, Report } from "../errors.ts";
import { describe, NodeReader, type YamlMapping } from "./yaml-node.ts";

/**
 * Reads one YAML document as PyYAML's `safe_load` does (YAML 1.1), keeping positions.
 * Errors go to `report`: bad syntax (the first place only, as the rest follows from it), more than one document,
 * a document that is no mapping, unknown tags and aliases. Repeated keys warn; the last one counts, as in PyYAML.
 * @returns the mapping, or undefined after an error.
 */
export function parseYaml(text: string, file: string, report: Report): YamlMapping | undefined {
  if (isTooLong(text, file, report)) return undefined;
  const parsed = parseText(text, file);
  const syntax = syntaxProblem(parsed) ?? secondDocument(parsed.documents, parsed.position);
  if (syntax !== undefined) {
    report.error(syntax);
    return undefined;
  }
  return readMapping(parsed, parsed.documents[0]?.contents, report);
}

/** One of several documents of a text. */
export interface YamlDocument {
  root: YamlMapping;
  /** As the user wrote it, comments included, without the `---` around it. */
  text: string;
}

/**
 * Reads every YAML document of a text, as PyYAML's `safe_load_all` does; empty ones are left out.
 * @returns undefined after an error, of which the report then has at least one.
 */
export function parseYamlDocuments(text: string, file: string, report: Report): YamlDocument[] | undefined {
  if (isTooLong(text, file, report)) return undefined;
  const parsed = parseText(text, file);
  const syntax = syntaxProblem(parsed);
  if (syntax !== undefined) {
    report.error(syntax);
    return undefined;
  }
  const before = report.errors.length;
  const documents = [...parsed.documents].flatMap((document, i): YamlDocument[] => {
    if (document.contents === null || isEmptyScalar(document.contents)) return [];
    const root = readMapping(parsed, document.contents, report);
    return root === undefined ? [] : [{ root, text: ownText(parsed, i) }];
  });
  return report.errors.length > before ? undefined : documents;
}

interface Parsed {
  source: string;
  documents: Documents;
  position: ToPosition;
}

/** Far beyond what people or programs write; and as much as is read in seconds, not minutes. */
const MAX_VALUES = 300_000;
/** What the lexer of `yaml` puts before every scalar; and lists and mappings in brackets. */
const BEGINNINGS: ReadonlySet<string> = new Set(["\u001F", "[", "{"]);

/** Counted before anything is made of them: a parsed value takes hundreds of times its text's memory. */
function isTooLong(text: string, file: string, report: Report): boolean {
  // A value takes a character, and something that divides it from the next.
  if (text.length < 2 * MAX_VALUES) return false;
  let values = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (!BEGINNINGS.has(lexeme)) continue;
    if (++values <= MAX_VALUES) continue;
    report.error({ code: "yaml-too-long", message: `not read: the file holds over ${MAX_VALUES} values`, path: file });
    return true;
  }
  return false;
}

function parseText(text: string, file: string): Parsed {
  const lines = new LineCounter();
  const position = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col };
  };
  const source = withLineFeeds(text);
  // The failsafe schema leaves every scalar as text, for PyYAML's rules to read.
  const documents = parseAllDocuments(source, {
    schema: "failsafe",
    resolveKnownTags: false,
    uniqueKeys: false,
    prettyErrors: false,
    lineCounter: lines,
  });
  return { source, documents, position };
}

function syntaxProblem({ source, documents, position }: Parsed): Problem | undefined {
  return unprintable(source, position) ?? syntaxError(documents, position);
}

/** The value that stands in a document, which must be a mapping. @returns undefined after an error. */
function readMapping({ source, position }: Parsed, contents: unknown, report: Report): YamlMapping | undefined {
  const before = report.errors.length;
  const root = new NodeReader(source, position, report).read(contents, 0);
  if (report.errors.length > before) return undefined;
  if (root.kind === "mapping") return root;
  report.error({ code: "yaml-type", message: `expected "key: value" lines, found ${describe(root)}`, at: root.at });
  return undefined;
}

/** The lines of a document, from the end of the one before it. Lines that only divide documents are not its own. */
function ownText({ source, documents }: Parsed, index: number): string {
  const end = (i: number) => documents[i]?.range?.[2] ?? source.length;
  const text = source.slice(index === 0 ? 0 : end(index - 1), end(index));
  return `${text.replace(/^(---|\.\.\.)[^\S\n]*$/gm, "").trim()}\n`;
}

function isEmptyScalar(contents: unknown): boolean {
  return isScalar(contents) && contents.source === "" && contents.tag === undefined && contents.type === "PLAIN";
}

type Documents = ReturnType<typeof parseAllDocuments>;
type ToPosition = (offset: number) => Position;

/** PyYAML breaks lines at a lone CR and at NEL too. One character stays one character, so offsets hold. */
function withLineFeeds(text: string): string {
  return text.replace(/\r(?!\n)|\x85/g, "\n");
}

/** What PyYAML's reader refuses: control characters and lone surrogates. */
const UNPRINTABLE = /[^\t\n\r\x20-\x7E\xA0-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;

function unprintable(source: string, position: ToPosition): Problem | undefined {
  const offset = source.search(UNPRINTABLE);
  const code = source.codePointAt(offset);
  if (offset < 0 || code === undefined) return undefined;
  const name = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  return { code: "yaml-syntax", message: `not valid YAML: the character ${name} is not allowed`, at: position(offset) };
}

function syntaxError(documents: Documents, position: ToPosition): Problem | undefined {
  const errors = "empty" in documents ? documents.errors : documents.flatMap((document: Document) => document.errors);
  const first = errors.toSorted((a, b) => a.pos[0] - b.pos[0])[0];
  if (first === undefined) return undefined;
  if (first.code === "RESOURCE_EXHAUSTION") {
    return { code: "yaml-syntax", message: "not read: nested too deeply", at: position(first.pos[0]) };
  }
  const hint = /closing|end with/.test(first.message)
    ? "close it, and indent the lines on which it goes on"
    : SYNTAX_HINTS[first.code];
  return { code: "yaml-syntax", message: `not valid YAML: ${first.message}`, at: position(first.pos[0]), hint };
}

const SYNTAX_HINTS: { readonly [code in ErrorCode]?: string } = {
  TAB_AS_INDENT: "indent with spaces: YAML does not allow tabs",
  BLOCK_AS_IMPLICIT_KEY: 'check the indentation; text that holds ": " needs quotes',
};

function secondDocument(documents: Documents, position: ToPosition): Problem | undefined {
  const second = documents[1];
  if (second === undefined) return undefined;
  const message = "more than one YAML document in one file";
  return {
    code: "yaml-documents",
    message,
    at: position(second.range?.[0] ?? 0),
    hint: 'keep one: "---" starts another',
  };
}
