import type { ByteFile } from "../byte-file.ts";
import { FormatError } from "../format-error.ts";

/** One entry of an archive. Sizes and offsets in bytes; offsets from the start of the file. */
export interface ZipEntry {
  name: string;
  headerOffset: number;
  size: number;
  /** Whether the bytes lie in the archive as they are: neither compressed nor encrypted. */
  stored: boolean;
  /** Where the next entry or the directory begins: the entry's data must end before it. */
  limit: number;
}

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 0xffff;
const END64_LOCATOR_SIGNATURE = 0x07064b50;
const END64_LOCATOR_BYTES = 20;
const END64_SIGNATURE = 0x06064b50;
const END64_BYTES = 56;
const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_BYTES = 46;
const HEADER_SIGNATURE = 0x04034b50;
const HEADER_BYTES = 30;
const ZIP64_EXTRA = 0x0001;
const FULL_16 = 0xffff;
const FULL_32 = 0xffffffff;
const ENCRYPTED = 1;
const STORED = 0;
/** A million entries: ten times what the largest checkpoints have. */
const MAX_DIRECTORY_BYTES = 128 << 20;

/**
 * Reads the directory at the end of a zip archive (with zip64); nothing is ever unpacked.
 * Source of the layout: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
 * @returns entries by name, in the order of their offsets.
 * @throws FormatError where the directory is missing, damaged or hostile: names that lead out of the archive, names that
 *   stand twice, entries that overlap.
 */
export function readZipDirectory(file: ByteFile): Map<string, ZipEntry> {
  const { count, offset, size } = readEnd(file);
  if (size > MAX_DIRECTORY_BYTES) {
    throw damaged(`its directory would take ${size} bytes, beyond the limit of ${MAX_DIRECTORY_BYTES}`);
  }
  const bytes = file.read(offset, size);
  const entries: ZipEntry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + ENTRY_BYTES > size || bytes.readUInt32LE(at) !== ENTRY_SIGNATURE) {
      throw damaged(`its directory has ${i} entries, where ${count} are announced`);
    }
    const entry = readEntry(bytes, at);
    at = entry.end;
    entries.push({ ...entry.value, limit: offset });
  }
  if (at !== size) throw damaged(`its directory goes on after the ${count} entries that are announced`);
  return byName(entries);
}

/**
 * Where the data of an entry begins: only the header before it knows.
 * @throws FormatError where the entry is compressed, the header is another's, or the data would reach into the next entry.
 */
export function dataOffset(file: ByteFile, entry: ZipEntry): number {
  if (!entry.stored) {
    throw new FormatError(
      "zip-compressed",
      `"${entry.name}" is compressed or encrypted in the archive, and tensors are read where they lie`,
      "torch.save compresses nothing: take the file as it was first published, or save it again with torch.save",
    );
  }
  const nameBytes = Buffer.byteLength(entry.name);
  const header = file.read(entry.headerOffset, HEADER_BYTES + nameBytes);
  const isOwn =
    header.readUInt32LE(0) === HEADER_SIGNATURE &&
    header.readUInt16LE(26) === nameBytes &&
    header.toString("utf8", HEADER_BYTES) === entry.name;
  if (!isOwn) throw damaged(`the header of "${entry.name}" is not where the directory says`);
  const start = entry.headerOffset + header.length + header.readUInt16LE(28);
  if (start + entry.size > entry.limit) throw overlapping(entry.name);
  return start;
}

interface DirectoryPlace {
  count: number;
  offset: number;
  size: number;
}

function readEnd(file: ByteFile): DirectoryPlace {
  const tailBytes = Math.min(file.size, END_BYTES + MAX_COMMENT_BYTES);
  const tail = file.read(file.size - tailBytes, tailBytes);
  const at = findEnd(tail);
  if (at === undefined) {
    throw new FormatError(
      "zip-truncated",
      "the file begins as a zip archive, but the directory that should end it is missing",
      "the file is truncated: fetch or copy it again",
    );
  }
  const endOffset = file.size - tailBytes + at;
  const place = {
    count: tail.readUInt16LE(at + 10),
    size: tail.readUInt32LE(at + 12),
    offset: tail.readUInt32LE(at + 16),
  };
  const isZip64 = place.count === FULL_16 || place.size === FULL_32 || place.offset === FULL_32;
  const directory = isZip64 ? readEnd64(file, endOffset, place) : place;
  if (directory.offset + directory.size > endOffset) throw damaged("its directory would lie beyond its end");
  return directory;
}

/** The last end record whose comment ends with the file. */
function findEnd(tail: Buffer): number | undefined {
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) === END_SIGNATURE && at + END_BYTES + tail.readUInt16LE(at + 20) === tail.length)
      return at;
  }
  return undefined;
}

/** The larger end record, where there is one: exactly 65,535 entries fit the small one too. */
function readEnd64(file: ByteFile, endOffset: number, small: DirectoryPlace): DirectoryPlace {
  const locatorOffset = endOffset - END64_LOCATOR_BYTES;
  const locator = locatorOffset < 0 ? undefined : file.read(locatorOffset, END64_LOCATOR_BYTES);
  if (locator?.readUInt32LE(0) !== END64_LOCATOR_SIGNATURE) return small;
  const offset = size64(locator, 8);
  if (offset + END64_BYTES > locatorOffset) throw damaged("its zip64 end record would lie beyond its end");
  const end = file.read(offset, END64_BYTES);
  if (end.readUInt32LE(0) !== END64_SIGNATURE) throw damaged("its zip64 end record is not where the end says");
  return { count: size64(end, 32), size: size64(end, 40), offset: size64(end, 48) };
}

function readEntry(bytes: Buffer, at: number): { value: Omit<ZipEntry, "limit">; end: number } {
  const nameStart = at + ENTRY_BYTES;
  const extraStart = nameStart + bytes.readUInt16LE(at + 28);
  const extraEnd = extraStart + bytes.readUInt16LE(at + 30);
  const end = extraEnd + bytes.readUInt16LE(at + 32);
  if (end > bytes.length) throw damaged("its directory ends inside an entry");
  const name = bytes.toString("utf8", nameStart, extraStart);
  checkName(name, extraStart - nameStart);
  const large = readZip64Extra(bytes, extraStart, extraEnd);
  const number = (offset: number): number => {
    const small = bytes.readUInt32LE(at + offset);
    return small === FULL_32 ? (large.shift() ?? small) : small;
  };
  const size = number(24);
  const packed = number(20);
  const headerOffset = number(42);
  const stored = bytes.readUInt16LE(at + 10) === STORED && (bytes.readUInt16LE(at + 8) & ENCRYPTED) === 0;
  if (stored && packed !== size) throw damaged(`"${name}" is stored, but in ${packed} bytes instead of ${size}`);
  return { value: { name, headerOffset, size, stored }, end };
}

/** The 64-bit numbers that stand for those an entry has no room for, in the order of the standard. */
function readZip64Extra(bytes: Buffer, start: number, end: number): number[] {
  for (let at = start; at + 4 <= end; ) {
    const fieldEnd = at + 4 + bytes.readUInt16LE(at + 2);
    if (fieldEnd > end) break;
    if (bytes.readUInt16LE(at) === ZIP64_EXTRA) {
      const numbers: number[] = [];
      for (let field = at + 4; field + 8 <= fieldEnd; field += 8) numbers.push(size64(bytes, field));
      return numbers;
    }
    at = fieldEnd;
  }
  return [];
}

/** Nothing is written under these names; but an archive that tries to lead out of a folder is no model. */
function checkName(name: string, bytes: number): void {
  const leadsOut = name === "" || /^[/]|^[A-Za-z]:|[\\\0]|(^|\/)\.\.(\/|$)/.test(name);
  if (leadsOut) {
    throw new FormatError("zip-path", `the archive has an entry whose path leads out of it: ${JSON.stringify(name)}`);
  }
  if (Buffer.byteLength(name) !== bytes)
    throw damaged(`the name of an entry is not UTF-8 text: ${JSON.stringify(name)}`);
}

/** Sorts, and gives every entry its limit. No byte of the archive may belong to two entries. */
function byName(entries: ZipEntry[]): Map<string, ZipEntry> {
  entries.sort((a, b) => a.headerOffset - b.headerOffset);
  const named = new Map<string, ZipEntry>();
  entries.forEach((entry, i) => {
    entry.limit = entries[i + 1]?.headerOffset ?? entry.limit;
    const packed = entry.stored ? entry.size : 0;
    if (entry.headerOffset + HEADER_BYTES + entry.name.length + packed > entry.limit) throw overlapping(entry.name);
    named.set(entry.name, entry);
  });
  if (named.size < entries.length) throw damaged("two of its entries have the same name");
  return named;
}

function size64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32LE(at + 4) * 2 ** 32 + bytes.readUInt32LE(at);
  if (!Number.isSafeInteger(value)) throw damaged(`a size or offset in it is ${value}`);
  return value;
}

function overlapping(name: string): FormatError {
  return new FormatError("zip-overlap", `in the archive, "${name}" reaches into what lies after it`);
}

function damaged(what: string): FormatError {
  return new FormatError("zip-damaged", `the zip archive is damaged: ${what}`, "fetch or copy the file again");
}
