/**
 * JSON as Python writes it, for numbers that JSON has no words for: they stand in the text as numbers of a spelling that
 * nobody writes, which JSON reads as infinity where they are infinite.
 */
const STAND_INS: Readonly<Record<string, string>> = { NaN: "0e-7713", Infinity: "1e7713", "-Infinity": "-1e7713" };
const NUMBERS = Object.fromEntries(Object.entries(STAND_INS).map(([word, standIn]) => [standIn, word]));

/** What becomes of each value; `source` is how a number is written. */
type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;

/** Parts of `JSON` that ECMAScript 2026 brings and TypeScript's library does not have yet. */
const { parse, rawJSON: rawJson } = JSON as unknown as {
  parse(text: string, reviver?: Reviver): unknown;
  /** An object that `JSON.stringify` writes as the text it was made of. */
  rawJSON(text: string): unknown;
};

/**
 * As `JSON.parse`, and as Python's `json.loads`: also with bare `NaN`, `Infinity` and `-Infinity`.
 * @throws SyntaxError where the text is neither.
 */
export function parsePythonJson(text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!mayHaveWords(text)) throw error;
    return parse(outsideStrings(text, toStandIns), (_key, value, { source }) =>
      source === STAND_INS.NaN ? Number.NaN : value,
    );
  }
}

/** The same value with every number as it is spelt in the text, for `writeSpelt`. */
export function parseSpelt(text: string): unknown {
  const known = mayHaveWords(text) ? outsideStrings(text, toStandIns) : text;
  return parse(known, (_key, value, { source }) =>
    typeof value === "number" && source !== undefined && source !== String(value) ? rawJson(source) : value,
  );
}

/** JSON, indented by two blanks, with the numbers of `parseSpelt` as they were spelt. */
export function writeSpelt(value: unknown): string {
  const text = JSON.stringify(value, null, 2);
  return Object.keys(NUMBERS).some((standIn) => text.includes(standIn)) ? outsideStrings(text, fromStandIns) : text;
}

function mayHaveWords(text: string): boolean {
  return text.includes("NaN") || text.includes("Infinity");
}

function toStandIns(part: string): string {
  return part.replace(/(?<![\w.+-])(NaN|-?Infinity)(?![\w.])/g, (word) => STAND_INS[word] ?? word);
}

function fromStandIns(part: string): string {
  return part.replace(/-?[01]e-?7713/g, (standIn) => NUMBERS[standIn] ?? standIn);
}

/** Edits what stands between a JSON text's strings, in one pass. */
function outsideStrings(text: string, edit: (part: string) => string): string {
  const parts: string[] = [];
  let start = 0;
  while (start < text.length) {
    const quote = text.indexOf('"', start);
    if (quote < 0) break;
    let end = quote + 1;
    while (end < text.length && text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
    parts.push(edit(text.slice(start, quote)), text.slice(quote, end + 1));
    start = end + 1;
  }
  return parts.join("") + edit(text.slice(start));
}
