import { CLOSE_BRACE, CLOSE_BRACKET, type JsonReader, OPEN_BRACE, OPEN_BRACKET } from "./json-reader.ts";

/** One tensor of a header as it stands there: only its form has been checked. Offsets count from the data section. */
export interface HeaderEntry {
  name: string;
  dtype: string;
  shape: readonly number[];
  begin: number;
  end: number;
}

/** What a header holds, and what is wrong with its form. A name that stands twice is there twice. */
export interface HeaderEntries {
  entries: HeaderEntry[];
  metadata: Record<string, string>;
  /** Whether `__metadata__` is an object of texts and stands at most once. */
  metadataIsValid: boolean;
  /** Names whose value is not `{"dtype": text, "shape": [numbers], "data_offsets": [number, number]}`. */
  malformed: string[];
}

const METADATA = "__metadata__";

/**
 * Reads the JSON of a safetensors header, which must be an object.
 * @throws JsonError where the text is not JSON.
 */
export function readHeaderEntries(reader: JsonReader): HeaderEntries {
  const header: HeaderEntries = { entries: [], metadata: {}, metadataIsValid: true, malformed: [] };
  let hasMetadata = false;
  for (let more = reader.enter(OPEN_BRACE, CLOSE_BRACE); more; more = reader.next(CLOSE_BRACE)) {
    const name = reader.key();
    if (name === METADATA) {
      const texts = reader.attempt(readTexts);
      if (texts === undefined || hasMetadata) header.metadataIsValid = false;
      else header.metadata = Object.fromEntries(texts);
      hasMetadata = true;
      continue;
    }
    const fields = reader.attempt(readFields);
    const entry = fields === undefined ? undefined : completeEntry(name, fields);
    if (entry === undefined) header.malformed.push(name);
    else header.entries.push(entry);
  }
  reader.end();
  return header;
}

interface Fields {
  dtype: string | undefined;
  shape: number[] | undefined;
  offsets: number[] | undefined;
  /** How often one of the three stood there: more than three times, and readers may disagree about what counts. */
  count: number;
}

function completeEntry(name: string, { dtype, shape, offsets, count }: Fields): HeaderEntry | undefined {
  if (count !== 3 || dtype === undefined || shape === undefined || offsets === undefined) return undefined;
  const [begin, end] = offsets;
  if (offsets.length !== 2 || begin === undefined || end === undefined) return undefined;
  return { name, dtype, shape, begin, end };
}

function readFields(reader: JsonReader): Fields {
  const fields: Fields = { dtype: undefined, shape: undefined, offsets: undefined, count: 0 };
  for (let more = reader.enter(OPEN_BRACE, CLOSE_BRACE); more; more = reader.next(CLOSE_BRACE)) {
    const key = reader.key();
    fields.count++;
    if (key === "dtype") {
      fields.dtype = reader.attempt(readText);
    } else if (key === "shape") {
      fields.shape = reader.attempt(readNumbers);
    } else if (key === "data_offsets") {
      fields.offsets = reader.attempt(readNumbers);
    } else {
      fields.count--;
      reader.skip();
    }
  }
  return fields;
}

function readText(reader: JsonReader): string {
  return reader.string();
}

function readNumbers(reader: JsonReader): number[] {
  const numbers: number[] = [];
  for (let more = reader.enter(OPEN_BRACKET, CLOSE_BRACKET); more; more = reader.next(CLOSE_BRACKET)) {
    numbers.push(reader.number());
  }
  return numbers;
}

function readTexts(reader: JsonReader): Map<string, string> {
  const texts = new Map<string, string>();
  for (let more = reader.enter(OPEN_BRACE, CLOSE_BRACE); more; more = reader.next(CLOSE_BRACE)) {
    const key = reader.key();
    texts.set(key, reader.string());
  }
  return texts;
}
