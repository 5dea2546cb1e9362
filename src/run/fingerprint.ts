import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { hasher, shortHash } from "../hash.ts";
import type { InputFile } from "../model/types.ts";
import { onFile } from "./file-error.ts";

/** What tells an input file from another that took its place, without reading its tensors. */
export interface Fingerprint {
  path: string;
  size: number;
  /**
   * When it was last written, in nanoseconds since 1970; text, because a double has not the digits. Empty where the command
   * made the file itself: it makes the same one in the next run.
   */
  modified: string;
  /**
   * Hash of what says where its tensors are: a safetensors header; of other formats the first and last 64 KiB; of a file that
   * the command made, all of it.
   */
  header: string;
}

/** What a file is besides: of no use to another run, and what tells whether somebody had a hand on it during this one. */
export interface FileState {
  /** Its number on its file system. */
  inode: string;
  /** When anything about it changed last, in nanoseconds: its content, but its permissions, too. */
  touched: string;
}

/** @throws SinterError where the file cannot be looked at. */
export function fileState(path: string): FileState {
  const { ino, ctimeNs } = onFile("cannot read the input file", path, () => statSync(path, { bigint: true }));
  return { inode: String(ino), touched: String(ctimeNs) };
}

const LENGTH_BYTES = 8;
/** A longer header is refused when the merge is planned. */
const MAX_HEADER_BYTES = 100_000_000;
const END_BYTES = 64 << 10;

/** @throws SinterError where the file cannot be read. */
export function fingerprint({ path, made }: Pick<InputFile, "path" | "made">): Fingerprint {
  return onFile("cannot read the input file", path, () => {
    const file = openSync(path, "r");
    try {
      const { size, mtimeNs } = fstatSync(file, { bigint: true });
      if (made === true) return { path, size: Number(size), modified: "", header: contentHash(file) };
      return { path, size: Number(size), modified: String(mtimeNs), header: headerHash(file, path, Number(size)) };
    } finally {
      closeSync(file);
    }
  });
}

function headerHash(file: number, path: string, size: number): string {
  if (path.endsWith(".safetensors") && size >= LENGTH_BYTES) {
    const start = readAt(file, 0, LENGTH_BYTES);
    const length = Number(start.readBigUInt64LE());
    return shortHash(readAt(file, 0, LENGTH_BYTES + Math.min(length, MAX_HEADER_BYTES, size - LENGTH_BYTES)));
  }
  const ends = [readAt(file, 0, Math.min(size, END_BYTES)), readAt(file, Math.max(0, size - END_BYTES), END_BYTES)];
  return shortHash(Buffer.concat(ends));
}

const PIECE_BYTES = 1 << 20;

function contentHash(file: number): string {
  const hash = hasher("sha256");
  for (let offset = 0; ; ) {
    const piece = readAt(file, offset, PIECE_BYTES);
    if (piece.length === 0) return hash.digest("hex");
    hash.update(piece);
    offset += piece.length;
  }
}

function readAt(file: number, offset: number, count: number): Buffer {
  const bytes = Buffer.allocUnsafe(count);
  let filled = 0;
  while (filled < count) {
    const got = readSync(file, bytes, filled, count - filled, offset + filled);
    if (got === 0) break;
    filled += got;
  }
  return bytes.subarray(0, filled);
}

/** What is not as it was, in words; undefined where nothing is. */
export function difference(before: Fingerprint, now: Fingerprint): string | undefined {
  if (before.size !== now.size) return `it had ${before.size} bytes, now it has ${now.size}`;
  if (before.header !== now.header) return "its header is another";
  if (before.modified !== now.modified) return `it was written again, on ${dateOf(now.modified)}`;
  return undefined;
}

function dateOf(nanoseconds: string): string {
  return new Date(Number(BigInt(nanoseconds) / 1_000_000n)).toISOString();
}
