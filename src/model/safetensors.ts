import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { Report } from "../errors.ts";
import { hasher } from "../hash.ts";
import type { Dtype } from "./dtype.ts";
import { JsonError, JsonReader, OPEN_BRACE } from "./json-reader.ts";
import { type HeaderEntries, type HeaderEntry, readHeaderEntries } from "./safetensors-entries.ts";
import { checkEntries, checkLayout } from "./safetensors-layout.ts";
import { isPrintable, MAX_NAME_LENGTH } from "./tensor-name.ts";
import type { TensorView } from "./types.ts";

export interface SafetensorsHeader {
  /** In the order of their offsets. */
  tensors: Map<string, TensorView>;
  metadata: Record<string, string>;
  /** Of the whole file, in bytes. */
  size: number;
}

/** Bytes of the little-endian number that says how long the header is. */
const LENGTH_BYTES = 8;
/** The reference implementation's limit. */
const MAX_HEADER_BYTES = 100_000_000;
/** Ten times as many as the largest models have. */
const MAX_TENSORS = 1_000_000;
/** A damaged header can be wrong about every tensor: past so many problems only their number is told. */
const MAX_PROBLEMS = 20;

/**
 * Reads what a safetensors file says about its tensors; no tensor byte is read.
 * @returns undefined where the file cannot be used: then the report has at least one error, each with the path.
 */
export function readSafetensorsHeader(path: string, report: Report): SafetensorsHeader | undefined {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    report.error({ code: "unreadable-file", message: `cannot open the file: ${reason(error)}`, path });
    return undefined;
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) {
      report.error({ code: "unreadable-file", message: "is not a file", path });
      return undefined;
    }
    const start = readBytes(file, LENGTH_BYTES);
    const length = headerLength(start, stat.size, path, report);
    if (length === undefined) return undefined;
    return parseSafetensorsHeader(readBytes(file, LENGTH_BYTES + length), stat.size, path, report);
  } catch (error) {
    report.error({ code: "unreadable-file", message: `cannot read the file: ${reason(error)}`, path });
    return undefined;
  } finally {
    closeSync(file);
  }
}

/**
 * Understands the beginning of a safetensors file.
 * @param bytes the file's first bytes, up to the end of the header or beyond.
 * @param fileSize of the whole file, in bytes.
 * @param path for messages and views.
 * @returns undefined where something is wrong: then the report has at least one error.
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  fileSize: number,
  path: string,
  report: Report,
): SafetensorsHeader | undefined {
  const length = headerLength(bytes, fileSize, path, report);
  if (length === undefined) return undefined;
  const dataStart = LENGTH_BYTES + length;
  const text = bytes.subarray(LENGTH_BYTES, dataStart);
  const hash = hasher("sha256");
  hash.update(text);
  const key = `${fileSize} ${hash.digest("hex")}`;
  const found = new Report();
  const header = known.get(key) ?? readJson(text, found);
  const tensors = header === undefined ? undefined : viewsOf(header, path, dataStart);
  if (header !== undefined && tensors !== undefined && !known.has(key)) {
    check(header, tensors, fileSize - dataStart, found);
  }
  if (header === undefined || tensors === undefined || found.errors.length > 0) {
    tell(found, path, report);
    return undefined;
  }
  remember(key, header);
  return { tensors, metadata: header.metadata, size: fileSize };
}

/** Headers that were right, by what they say: fine-tunes of one model mostly have the same. The latest ones are kept. */
const known = new Map<string, HeaderEntries>();
const MOST_KNOWN = 64;

function remember(key: string, header: HeaderEntries): void {
  if (known.size === MOST_KNOWN && !known.has(key)) known.delete(known.keys().next().value as string);
  known.set(key, header);
}

/** The tensors in the order of their offsets. */
function viewsOf({ entries }: HeaderEntries, path: string, dataStart: number): Map<string, TensorView> {
  sortByOffset(entries);
  const tensors = new Map<string, TensorView>();
  for (const { name, dtype, shape, begin } of entries) {
    tensors.set(name, { file: path, offset: dataStart + begin, dtype: dtype as Dtype, shape });
  }
  return tensors;
}

/** The first `count` bytes of an open file, or all of it where it is shorter. */
function readBytes(file: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  let filled = 0;
  while (filled < count) {
    const got = readSync(file, bytes, filled, count - filled, filled);
    if (got === 0) break;
    filled += got;
  }
  return bytes.subarray(0, filled);
}

function headerLength(bytes: Uint8Array, fileSize: number, path: string, report: Report): number | undefined {
  if (fileSize < LENGTH_BYTES || bytes.length < LENGTH_BYTES) {
    report.error({
      code: "safetensors-too-short",
      message: `a file of ${fileSize} bytes is too short for safetensors, which begins with an ${LENGTH_BYTES}-byte length`,
      path,
    });
    return undefined;
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    report.error({
      code: "safetensors-header-length",
      message: `not a safetensors file: its header would be ${length} bytes long, beyond the limit of ${MAX_HEADER_BYTES}`,
      path,
    });
    return undefined;
  }
  if (Number(length) > fileSize - LENGTH_BYTES) {
    report.error({
      code: "safetensors-header-length",
      message: `the header is ${length} bytes long, but the file ends ${fileSize - LENGTH_BYTES} bytes after the length`,
      path,
      hint: "the file is truncated or not safetensors: fetch or copy it again",
    });
    return undefined;
  }
  return Number(length);
}

function readJson(bytes: Uint8Array, report: Report): HeaderEntries | undefined {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    report.error({ code: "safetensors-header-utf8", message: "the header is not UTF-8 text" });
    return undefined;
  }
  try {
    const reader = new JsonReader(text);
    if (reader.peek() === OPEN_BRACE) return readHeaderEntries(reader);
    reader.skip();
    reader.end();
    report.error({ code: "safetensors-header-object", message: "the header is JSON, but not an object" });
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    report.error({ code: "safetensors-header-json", message: `the header is not JSON: ${error.message}` });
  }
  return undefined;
}

/** What is wrong with the tensors goes to the report: then they are of no use. */
function check(
  { entries, malformed, metadataIsValid }: HeaderEntries,
  tensors: ReadonlyMap<string, TensorView>,
  dataBytes: number,
  report: Report,
): void {
  checkLimits(entries, report);
  if (report.errors.length > 0) return;
  if (!metadataIsValid) {
    report.error({ code: "safetensors-metadata", message: "__metadata__ must be one object whose values are texts" });
  }
  for (const name of malformed) {
    report.error({
      code: "safetensors-entry",
      message: "the header's entry must have, once each, dtype (text), shape (numbers) and data_offsets (two numbers)",
      tensor: name,
    });
  }
  const offsetsAreUsable = checkEntries(entries, report);
  if (tensors.size < entries.length) reportRepeated(entries, report);
  else if (offsetsAreUsable && malformed.length === 0) checkLayout(entries, dataBytes, report);
}

/** What is beyond every model is not looked at further. */
function checkLimits(entries: readonly HeaderEntry[], report: Report): void {
  if (entries.length > MAX_TENSORS) {
    const message = `the header names ${entries.length} tensors: more than ${MAX_TENSORS}`;
    report.error({ code: "safetensors-too-many", message });
  }
  const long = entries.find(({ name }) => name.length > MAX_NAME_LENGTH);
  if (long !== undefined) {
    const message = `a tensor's name is ${long.name.length} characters long: more than ${MAX_NAME_LENGTH}`;
    report.error({ code: "safetensors-name", message, tensor: `${long.name.slice(0, 80)}…` });
  }
  const unprintable = entries.find(({ name }) => !isPrintable(name));
  if (unprintable === undefined) return;
  const message = "a tensor's name holds control characters: no model has such names";
  report.error({ code: "safetensors-name", message, tensor: unprintable.name.slice(0, 80) });
}

function reportRepeated(entries: readonly HeaderEntry[], report: Report): void {
  const seen = new Set<string>();
  for (const { name } of entries) {
    if (seen.has(name)) {
      report.error({ code: "safetensors-duplicate-name", message: "the header names the tensor twice", tensor: name });
    }
    seen.add(name);
  }
}

/** Most files are in order already, and a sort of 100,000 entries would cost more than all other checks. */
function sortByOffset(entries: HeaderEntry[]): void {
  const byOffset = (a: HeaderEntry, b: HeaderEntry) => a.begin - b.begin || a.end - b.end;
  const isSorted = entries.every((entry, i) => i === 0 || byOffset(entries[i - 1] as HeaderEntry, entry) <= 0);
  if (!isSorted) entries.sort(byOffset);
}

function tell(found: Report, path: string, report: Report): void {
  for (const problem of found.errors.slice(0, MAX_PROBLEMS)) report.error({ ...problem, path });
  const rest = found.errors.length - MAX_PROBLEMS;
  if (rest > 0) report.error({ code: "safetensors-more", message: `${rest} more problems in the header`, path });
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
