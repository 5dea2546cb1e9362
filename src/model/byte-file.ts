import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { FormatError } from "./format-error.ts";

/** A file of which parts are read, never all. Sizes and offsets in bytes. */
export interface ByteFile {
  readonly path: string;
  readonly size: number;
  /** @throws FormatError `truncated-file` where the file ends before `offset + length`. */
  read(offset: number, length: number): Buffer;
}

/**
 * Opens a file, hands it to `use` and closes it.
 * @throws FormatError `unreadable-file` where the path is none of a file; system errors as they are.
 */
export function withByteFile<T>(path: string, use: (file: ByteFile) => T): T {
  const descriptor = openSync(path, "r");
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new FormatError("unreadable-file", "is not a file");
    return use({ path, size: stat.size, read: (offset, length) => readPart(descriptor, stat.size, offset, length) });
  } finally {
    closeSync(descriptor);
  }
}

/** The file's first bytes: `length` of them, or all it has. */
export function readStart(file: ByteFile, length: number): Buffer {
  return file.read(0, Math.min(length, file.size));
}

/** What reads beyond the end of a file of `size` bytes meet. */
export function truncated(size: number, offset: number, length: number): FormatError {
  return new FormatError(
    "truncated-file",
    `the file ends after ${size} bytes, where ${length} bytes from offset ${offset} are needed`,
    "the file is truncated: fetch or copy it again",
  );
}

function readPart(descriptor: number, size: number, offset: number, length: number): Buffer {
  if (offset + length > size) throw truncated(size, offset, length);
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const got = readSync(descriptor, bytes, filled, length - filled, offset + filled);
    if (got === 0) throw truncated(offset + filled, offset, length);
    filled += got;
  }
  return bytes;
}
