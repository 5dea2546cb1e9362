import { littleEndian } from "./pickle.ts";

/**
 * The parts of a ZIP archive of stored (uncompressed) entries that are not the entries' bytes.
 * Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 (records) and 4.5.3 (ZIP64).
 */

/** An entry's place: where its local header starts, how long that is, and where its bytes lie. */
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
/** A local extra field of zip64: id, length, both sizes. */
const LOCAL_ZIP64 = 20;
/** Padding lies in an extra field of its own (id `FB`, as PyTorch writes it): at least id and length. */
const PADDING_ID = 0x4246;
const PADDING_HEADER = 4;
/** 1 January 1980, the first date that the format knows. */
const DATE = 0x21;

/** Places entries one after another, the bytes of each at a multiple of `alignment`. @returns them and the end. */
export function placeEntries(
  files: readonly { name: string; size: number }[],
  alignment: number,
): { entries: ZipEntry[]; end: number } {
  let offset = 0;
  const entries = files.map(({ name, size }) => {
    const bare = offset + LOCAL_HEADER + name.length + (size >= MAX_32 ? LOCAL_ZIP64 : 0) + PADDING_HEADER;
    const dataOffset = Math.ceil(bare / alignment) * alignment;
    const entry = { name, size, headerOffset: offset, dataOffset };
    offset = dataOffset + size;
    return entry;
  });
  return { entries, end: offset };
}

/** Bytes of the central directory and the end records, which follow the last entry at `end`. */
export function directorySize(entries: readonly ZipEntry[], end: number): number {
  let size = 0;
  for (const entry of entries) size += CENTRAL_HEADER + entry.name.length + centralExtra(entry).length;
  return size + endRecords(entries.length, size, end).length;
}

/** What stands before an entry's bytes. */
export function localHeader(entry: ZipEntry, crc: number): Uint8Array {
  const large = entry.size >= MAX_32;
  const sizes = large ? MAX_32 : entry.size;
  const extraLength = entry.dataOffset - entry.headerOffset - LOCAL_HEADER - entry.name.length;
  const zip64 = large ? [u16(1), u16(16), u64(entry.size), u64(entry.size)] : [];
  const padding = extraLength - (large ? LOCAL_ZIP64 : 0) - PADDING_HEADER;
  return join([
    u32(0x04034b50),
    ...commonFields(crc, large),
    u32(sizes),
    u32(sizes),
    u16(entry.name.length),
    u16(extraLength),
    ascii(entry.name),
    ...zip64,
    u16(PADDING_ID),
    u16(padding),
    new Uint8Array(padding),
  ]);
}

/** The central directory and the end records. `crcs` in the order of the entries. */
export function directory(entries: readonly ZipEntry[], crcs: readonly number[], end: number): Uint8Array {
  const headers = entries.map((entry, i) => centralHeader(entry, crcs[i] ?? 0));
  const size = headers.reduce((sum, header) => sum + header.length, 0);
  return join([...headers, endRecords(entries.length, size, end)]);
}

function centralHeader(entry: ZipEntry, crc: number): Uint8Array {
  const extra = centralExtra(entry);
  const size = Math.min(entry.size, MAX_32);
  return join([
    u32(0x02014b50),
    u16(version(extra.length > 0)),
    ...commonFields(crc, extra.length > 0),
    u32(size),
    u32(size),
    u16(entry.name.length),
    u16(extra.length),
    // Comment, disk, internal and external attributes.
    new Uint8Array(10),
    u32(Math.min(entry.headerOffset, MAX_32)),
    ascii(entry.name),
    extra,
  ]);
}

/** Only the fields that do not fit their 32 bits, in the order of the format. */
function centralExtra(entry: ZipEntry): Uint8Array {
  const fields: Uint8Array[] = [];
  if (entry.size >= MAX_32) fields.push(u64(entry.size), u64(entry.size));
  if (entry.headerOffset >= MAX_32) fields.push(u64(entry.headerOffset));
  return fields.length === 0 ? new Uint8Array(0) : join([u16(1), u16(fields.length * 8), ...fields]);
}

function endRecords(count: number, directoryBytes: number, directoryOffset: number): Uint8Array {
  const large = count >= MAX_16 || directoryBytes >= MAX_32 || directoryOffset >= MAX_32;
  const zip64 = [
    u32(0x06064b50),
    u64(44),
    u16(version(true)),
    u16(version(true)),
    new Uint8Array(8),
    u64(count),
    u64(count),
    u64(directoryBytes),
    u64(directoryOffset),
    u32(0x07064b50),
    u32(0),
    u64(directoryOffset + directoryBytes),
    u32(1),
  ];
  const shortCount = u16(Math.min(count, MAX_16));
  return join([
    ...(large ? zip64 : []),
    u32(0x06054b50),
    u32(0),
    shortCount,
    shortCount,
    u32(Math.min(directoryBytes, MAX_32)),
    u32(Math.min(directoryOffset, MAX_32)),
    u16(0),
  ]);
}

/** Version needed, flags, method (stored), time, date, CRC-32: the same in both headers. */
function commonFields(crc: number, zip64: boolean): Uint8Array[] {
  return [u16(version(zip64)), u16(0), u16(0), u16(0), u16(DATE), u32(crc)];
}

/** ZIP 4.5 brought ZIP64; 1.0 is enough for stored entries. */
function version(zip64: boolean): number {
  return zip64 ? 45 : 10;
}

function u16(value: number): Uint8Array {
  return littleEndian(value, 2);
}

function u32(value: number): Uint8Array {
  return littleEndian(value, 4);
}

function u64(value: number): Uint8Array {
  return littleEndian(value, 8);
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
