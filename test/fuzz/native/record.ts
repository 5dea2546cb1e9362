/**
 * Stands for the addon (`SINTER_ADDON`) and writes what tests call it with into the folder `SINTER_RECORD`, one session
 * of the fuzzer for each kind of call (session.h): the corpus that fuzzing begins with. Files are cut to the bytes that a
 * call may read; calls that read much are left out.
 */
import { closeSync, openSync, readFileSync, readSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

type Method = (...given: unknown[]) => unknown;
const addon: Record<string, Method> = require(join(import.meta.dirname, "../../../build/Release/sinter.node"));
const folder = process.env.SINTER_RECORD ?? "";

/** Of kMethods in session.h, in its order: those whose arguments are recorded. */
const METHODS = ["merge", "checksum", "compare", "difference", "decompose", "gatherRows", "route", "transplant"];
METHODS.push("forward", "multiply", "writeSink", "commitSink", "wellTrained");

/** Files up to this size are recorded whole; of larger ones, this much from each offset that a call names. */
const WHOLE_FILE = 12_288;
const WINDOW = 2048;
const MOST_BYTES = 60_000;
const SINK_BYTES = 65_536;
/** Sessions of one kind (the same method, kernel, dtypes and keys), and of one kernel. */
const MOST_OF_A_KIND = 1;
const MOST_OF_A_KERNEL = 10;

const ELEMENT_TYPES = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array];
const ALL_TYPES = [...ELEMENT_TYPES, Float32Array, Float64Array];

const paths = new Map<number, string>();
const kinds = new Map<string, number>();

/** Thrown where a call is none for the corpus. */
class TooLarge extends Error {}

/** One call's files, with the handles and offsets that its arguments get. */
class Recording {
  readonly files: Buffer[] = [];
  private readonly handles = new Map<number, number>();
  private used = 0;

  /** @returns the handle and offset that stand for these in the session. */
  place(handle: number, offset: number): { source: number; offset: number } {
    const known = this.handles.get(handle);
    if (known !== undefined) return { source: known, offset };
    const path = paths.get(handle) ?? "";
    const whole = statSync(path).size <= WHOLE_FILE;
    const file = whole ? readFileSync(path) : window(path, offset);
    this.used += file.length;
    if (this.files.push(file) > 8 || this.used > MOST_BYTES) throw new TooLarge();
    if (whole) this.handles.set(handle, this.files.length);
    return { source: this.files.length, offset: whole ? offset : 0 };
  }

  /** The same value with its sources, offsets and sink as they are in the session; the sink's handle is 255 for now. */
  translated(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.translated(item));
    if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
    const object = value as Record<string, unknown>;
    const entries = Object.entries(object).map(([key, item]) => [key, this.translated(item)] as const);
    const place = typeof object.source === "number" ? this.place(object.source, Number(object.offset ?? 0)) : {};
    const sink = "sink" in object ? { sink: 255, ...("source" in object ? {} : { offset: 3 }) } : {};
    return { ...Object.fromEntries(entries), ...place, ...sink };
  }
}

/** Up to WINDOW bytes of a file. */
function window(path: string, offset: number): Buffer {
  const bytes = Buffer.alloc(WINDOW);
  const file = openSync(path, "r");
  const got = readSync(file, bytes, 0, WINDOW, offset);
  closeSync(file);
  return bytes.subarray(0, got);
}

function encode(value: unknown, sink: number): Buffer {
  if (value === undefined || value === null) return Buffer.from([0]);
  if (typeof value === "boolean") return Buffer.from([value ? 2 : 1]);
  if (typeof value === "number") {
    const bytes = Buffer.alloc(9, 3);
    bytes.writeDoubleLE(value, 1);
    return bytes;
  }
  if (typeof value === "string") return Buffer.concat([Buffer.from([4]), text(value)]);
  if (Array.isArray(value)) {
    if (value.length > 255) throw new TooLarge();
    return Buffer.concat([Buffer.from([5, value.length]), ...value.map((item) => encode(item, sink))]);
  }
  if (ArrayBuffer.isView(value)) {
    const type = ALL_TYPES.findIndex((Type) => value instanceof Type);
    if (value.byteLength > 16_384) throw new TooLarge();
    const head = Buffer.from([7, type, value.byteLength & 255, value.byteLength >> 8]);
    return Buffer.concat([head, Buffer.from(value.buffer, value.byteOffset, value.byteLength)]);
  }
  const entries = Object.entries(value);
  const parts = entries.map(([key, item]) => Buffer.concat([text(key), encode(key === "sink" ? sink : item, sink)]));
  return Buffer.concat([Buffer.from([6, entries.length]), ...parts]);
}

function text(words: string): Buffer {
  const bytes = Buffer.from(words);
  if (bytes.length > 255) throw new TooLarge();
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function session(method: string, given: unknown[]): Buffer {
  const recording = new Recording();
  const translated = recording.translated(given) as unknown[];
  const sink = recording.files.length + 1;
  const head = recording.files.map((file) => Buffer.concat([Buffer.from([file.length & 255, file.length >> 8]), file]));
  const size = Buffer.alloc(5);
  size.writeUInt32LE(SINK_BYTES);
  // Several arguments are a list; so is one that is a list itself.
  const argument = translated.length === 1 ? encode(translated[0], sink) : encode(translated, sink);
  return Buffer.concat([Buffer.from([head.length]), ...head, size, Buffer.from([METHODS.indexOf(method)]), argument]);
}

/** What of a call decides which code it runs. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return `[${[...new Set(value.map(kindOf))].join()}]`;
  if (typeof value === "string") return value.length < 24 ? value : "";
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return typeof value;
  const entries = Object.entries(value).filter(([key]) => key !== "tensor");
  return `{${entries.map(([key, item]) => `${key}:${kindOf(item)}`).join()}}`;
}

function record(method: string, given: unknown[]): void {
  const kind = `${method} ${kindOf(given)}`;
  const kernel = `${method} ${(given[0] as { kernel?: string } | undefined)?.kernel}`;
  const seen = (name: string) => kinds.get(name) ?? 0;
  if (folder === "" || seen(kind) >= MOST_OF_A_KIND || seen(kernel) >= MOST_OF_A_KERNEL) return;
  try {
    writeFileSync(join(folder, `${method}-${Bun.hash(kind).toString(16)}`), session(method, given));
    for (const name of [kind, kernel]) kinds.set(name, seen(name) + 1);
  } catch {
    // Too large, or about a handle that is none: not for the corpus.
  }
}

function wrapped(name: string): Method {
  return (...given) => {
    if (METHODS.includes(name)) record(name, given);
    const result = (addon[name] as Method)(...given);
    if (name === "openSource") paths.set((result as { handle: number }).handle, String(given[0]));
    return result;
  };
}

const recorder = Object.fromEntries(Object.getOwnPropertyNames(addon).map((name) => [name, wrapped(name)]));

// What `require` gives, as it does the addon itself.
export { recorder as "module.exports" };
