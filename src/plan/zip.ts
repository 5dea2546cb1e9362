import { ByteWriter } from "./byte-writer.ts";

/**
 * The parts of a ZIP archive of stored (uncompressed) entries that are not the entries' bytes.
 * Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 (records) and 4.5.3 (ZIP64). Names are ASCII.
 */

/** An entry's place: where its local header starts, and where its bytes lie. */
export interface ZipEntry {
  name: string;
  size: number;
  headerOffset: number;
  dataOffset: number;
}

/** Sizes, offsets and counts at or beyond these need the ZIP64 form. */
const MAX_32 = 0xffffffff;
const MAX_16 = 0xffff;
const LOCAL_HEADER = 30;
const CENTRAL_HEADER = 46;
const END_RECORD = 22;
/** The end record of ZIP64 and the record that tells where it is. */
const ZIP64_END_RECORDS = 56 + 20;
/** Id and length of an extra field. */
const EXTRA_HEADER = 4;
const ZIP64_ID = 1;
/** Padding lies in an extra field of its own; PyTorch writes the same id (`FB`). */
const PADDING_ID = 0x4246;
/** 1 January 1980, the first date that the format knows. */
const DATE = 0x21;

/** Places entries one after another, the bytes of each at a multiple of `alignment`. @returns them and the end. */
export function placeEntries(
  files: readonly { name: string; size: number }[],
  alignment: number,
): { entries: ZipEntry[]; end: number } {
  let offset = 0;
  const entries = files.map(({ name, size }) => {
    const bare = offset + LOCAL_HEADER + name.length + localZip64(size) + EXTRA_HEADER;
    const dataOffset = Math.ceil(bare / alignment) * alignment;
    const entry = { name, size, headerOffset: offset, dataOffset };
    offset = dataOffset + size;
    return entry;
  });
  return { entries, end: offset };
}

/** Bytes of the central directory and the end records, which follow the last entry at `end`. */
export function directorySize(entries: readonly ZipEntry[], end: number): number {
  const size = centralSize(entries);
  return size + END_RECORD + (needsZip64(entries.length, size, end) ? ZIP64_END_RECORDS : 0);
}

/** What stands before an entry's bytes. */
export function localHeader(entry: ZipEntry, crc: number): Uint8Array {
  const { name, size } = entry;
  const zip64 = localZip64(size);
  const extra = entry.dataOffset - entry.headerOffset - LOCAL_HEADER - name.length;
  const out = new ByteWriter(entry.dataOffset - entry.headerOffset).u32(0x04034b50);
  writeCommon(out, crc, size, zip64 > 0);
  out.u16(name.length).u16(extra).text(name);
  if (zip64 > 0) out.u16(ZIP64_ID).u16(16).u64(size).u64(size);
  const padding = extra - zip64 - EXTRA_HEADER;
  return out.u16(PADDING_ID).u16(padding).zeros(padding).result();
}

/** The central directory and the end records. `crcs` in the order of the entries. */
export function directory(entries: readonly ZipEntry[], crcs: readonly number[], end: number): Uint8Array {
  const out = new ByteWriter(directorySize(entries, end));
  entries.forEach((entry, i) => {
    writeCentralHeader(out, entry, crcs[i] ?? 0);
  });
  writeEndRecords(out, entries.length, centralSize(entries), end);
  return out.result();
}

function writeCentralHeader(out: ByteWriter, entry: ZipEntry, crc: number): void {
  const { name, size, headerOffset } = entry;
  const wide = centralZip64(entry);
  out.u32(0x02014b50).u16(version(wide.length > 0));
  writeCommon(out, crc, size, wide.length > 0);
  out.u16(name.length).u16(wide.length === 0 ? 0 : EXTRA_HEADER + 8 * wide.length);
  // Length of the comment, disk, internal and external attributes.
  out.zeros(10).u32(Math.min(headerOffset, MAX_32)).text(name);
  if (wide.length === 0) return;
  out.u16(ZIP64_ID).u16(8 * wide.length);
  for (const value of wide) out.u64(value);
}

function writeEndRecords(out: ByteWriter, count: number, size: number, offset: number): void {
  if (needsZip64(count, size, offset)) {
    out.u32(0x06064b50).u64(44).u16(version(true)).u16(version(true)).zeros(8);
    out.u64(count).u64(count).u64(size).u64(offset);
    out
      .u32(0x07064b50)
      .u32(0)
      .u64(offset + size)
      .u32(1);
  }
  const shortCount = Math.min(count, MAX_16);
  out.u32(0x06054b50).u32(0).u16(shortCount).u16(shortCount);
  out.u32(Math.min(size, MAX_32)).u32(Math.min(offset, MAX_32)).u16(0);
}

/** Version needed, flags, method (stored), time, date, checksum and both sizes: the same in both headers. */
function writeCommon(out: ByteWriter, crc: number, size: number, zip64: boolean): void {
  const short = Math.min(size, MAX_32);
  out.u16(version(zip64)).u16(0).u16(0).u16(0).u16(DATE).u32(crc).u32(short).u32(short);
}

function centralSize(entries: readonly ZipEntry[]): number {
  let size = 0;
  for (const entry of entries) {
    const wide = centralZip64(entry).length;
    size += CENTRAL_HEADER + entry.name.length + (wide === 0 ? 0 : EXTRA_HEADER + 8 * wide);
  }
  return size;
}

/** Bytes of the ZIP64 field of a local header, which holds both sizes. */
function localZip64(size: number): number {
  return size >= MAX_32 ? EXTRA_HEADER + 16 : 0;
}

/** What does not fit its 32 bits, in the order of the format: both sizes, the offset. */
function centralZip64({ size, headerOffset }: ZipEntry): number[] {
  return [...(size >= MAX_32 ? [size, size] : []), ...(headerOffset >= MAX_32 ? [headerOffset] : [])];
}

function needsZip64(count: number, size: number, offset: number): boolean {
  return count >= MAX_16 || size >= MAX_32 || offset >= MAX_32;
}

/** ZIP 4.5 brought ZIP64; 1.0 is enough for stored entries. */
function version(zip64: boolean): number {
  return zip64 ? 45 : 10;
}
