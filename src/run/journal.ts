import { closeSync, fdatasync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { shortHash } from "../hash.ts";
import type { NativeResult } from "../native.ts";
import type { MergePlan } from "../plan/types.ts";
import { onFile } from "./file-error.ts";
import { asJournalHeader, changesSince, type JournalHeader, journalHeader } from "./journal-header.ts";

/**
 * What a run has done so far, beside the shards: a line for each op that is written. It lets the next run go on where
 * this one was killed. Nothing in it is believed: every op is checked against its checksum before it counts.
 *
 * A line is JSON, a space, and the first 16 hexadecimal digits of the JSON's SHA-256, so that a line that the disk has only in
 * part is no line. The first is the header; then `[op, bytes, checksum, crc32, "01"]` (last: which inputs hold a NaN or
 * an infinity; and, where it was not the CPU, the device that computed it); `"finish"` once every temporary file is complete and on the disk and files begin to get their names.
 */
export const JOURNAL_NAME = "sinter_journal.tmp";

/** What a journal says. */
export interface JournalContent {
  header: JournalHeader;
  /** By op. */
  done: ReadonlyMap<number, JournalEntry>;
  /** Whether files may have got their final names. */
  finishing: boolean;
}

export interface JournalEntry {
  bytes: number;
  result: NativeResult;
}

/** A million ops take a third of this. */
const MAX_BYTES = 512 << 20;
/** The longest time for which a power cut may lose lines. */
const SYNC_MS = 3000;

/** @returns undefined where there is none that can be used. */
export function readJournal(folder: string): JournalContent | undefined {
  const path = join(folder, JOURNAL_NAME);
  let text: string;
  try {
    const { size } = statSync(path);
    if (size === 0 || size > MAX_BYTES) return undefined;
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  const [first, ...rest] = text.split("\n");
  const header = asJournalHeader(payload(first ?? ""));
  if (header === undefined) return undefined;
  const done = new Map<number, JournalEntry>();
  let finishing = false;
  for (const line of rest) {
    const value = payload(line);
    if (value === "finish") finishing = true;
    else if (Array.isArray(value)) readEntry(value, done);
  }
  return { header, done, finishing };
}

/**
 * Whether a run that was killed while files got their names left the folder so.
 * @param plan where it is given, a run of this very plan: the files in the folder are its own, then.
 */
export function wasFinishing(folder: string, plan?: MergePlan): boolean {
  const old = readJournal(folder);
  if (old?.finishing !== true) return false;
  return plan === undefined || changesSince(old.header, journalHeader(plan)).length === 0;
}

function payload(line: string): unknown {
  const split = line.length - 17;
  if (split < 0 || line[split] !== " ") return undefined;
  const json = line.slice(0, split);
  if (line.slice(split + 1) !== shortHash(json)) return undefined;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function readEntry(
  [op, bytes, checksum, crc32, flags, device]: readonly unknown[],
  done: Map<number, JournalEntry>,
): void {
  if (!Number.isSafeInteger(op) || typeof bytes !== "number" || typeof checksum !== "string") return;
  if (typeof crc32 !== "number" || typeof flags !== "string") return;
  const nonFinite = [...flags].map((flag) => flag === "1");
  const result = { checksum, crc32, nonFinite, ...(typeof device === "string" ? { device } : {}) };
  done.set(op as number, { bytes, result });
}

function openJournal(folder: string, flags: "w" | "a"): number {
  const path = join(folder, JOURNAL_NAME);
  return onFile("cannot write the file", path, () => openSync(path, flags));
}

/**
 * A journal that is being written. Lines survive the end of the process at once, and a power cut after `SYNC_MS`.
 * A disk that takes no more lines does not stop the merge: there is less to go on from then (`failure`).
 */
export class Journal {
  readonly #file: number | undefined;
  readonly #sync: boolean;
  #failure: unknown;
  #ops = 0;
  #finishing = false;
  #closed = false;
  #syncedAt = performance.now();
  #dirty = false;
  #syncing: Promise<void> | undefined;

  private constructor(file: number | undefined, sync: boolean) {
    this.#file = file;
    this.#sync = sync;
  }

  /** Begins a new one, in the place of any other. @param sync whether lines are synced to the disk. */
  static create(folder: string, header: JournalHeader, sync: boolean): Journal {
    const journal = new Journal(openJournal(folder, "w"), sync);
    journal.#append(header);
    return journal;
  }

  /** One that notes nothing. */
  static none(): Journal {
    return new Journal(undefined, false);
  }

  /** Goes on with the one that is there. Its last line may be one in part: a new one begins after a line break. */
  static append(folder: string, sync: boolean): Journal {
    const journal = new Journal(openJournal(folder, "a"), sync);
    journal.#write("\n");
    return journal;
  }

  opDone(op: number, bytes: number, { checksum, crc32, nonFinite, device }: NativeResult): void {
    this.#ops++;
    const flags = nonFinite.map((flag) => (flag ? "1" : "0")).join("");
    this.#append([op, bytes, checksum, crc32, flags, ...(device === undefined ? [] : [device])]);
    if (performance.now() - this.#syncedAt > SYNC_MS) void this.sync();
  }

  /** Says that files begin to get their names, and waits until the disk has that. */
  async finish(): Promise<void> {
    this.#finishing = true;
    this.#append("finish");
    await this.#syncing;
    await this.sync();
  }

  /** Waits until the disk has all lines so far. */
  async sync(): Promise<void> {
    const file = this.#file;
    if (file === undefined || !this.#sync || !this.#dirty || this.#closed || this.#syncing !== undefined)
      return await this.#syncing;
    this.#dirty = false;
    this.#syncedAt = performance.now();
    this.#syncing = new Promise((resolve) => {
      fdatasync(file, (error) => {
        if (error) this.#failure ??= error;
        this.#syncing = undefined;
        resolve();
      });
    });
    await this.#syncing;
  }

  async close(): Promise<void> {
    await this.#syncing;
    if (!this.#closed && this.#file !== undefined) closeSync(this.#file);
    this.#closed = true;
  }

  /** Ops that it was told of. */
  get ops(): number {
    return this.#ops;
  }

  /** Whether files may have got their final names. */
  get finishing(): boolean {
    return this.#finishing;
  }

  /** The first thing that went wrong with writing it. */
  get failure(): unknown {
    return this.#failure;
  }

  #append(value: unknown): void {
    if (this.#file === undefined) return;
    const json = JSON.stringify(value);
    this.#write(`${json} ${shortHash(json)}\n`);
  }

  #write(text: string): void {
    if (this.#file === undefined) return;
    this.#dirty = true;
    try {
      const bytes = Buffer.from(text);
      for (let written = 0; written < bytes.length; ) written += writeSync(this.#file, bytes, written);
    } catch (error) {
      this.#failure ??= error;
    }
  }
}
