/** An entry as its central directory record and its local header describe it. */
export interface ZipFile {
  name: string;
  size: number;
  dataOffset: number;
  /** Empty where the archive was given without its data. */
  bytes: Uint8Array;
}

/** Some bytes of a file, at their offset. */
interface Piece {
  offset: number;
  bytes: Uint8Array;
}

/**
 * Reads a ZIP archive of stored entries from its end, as other readers do, and checks the checksum of every entry.
 * @param archive the whole file, or pieces of it with the file's size: then data and checksums are left alone.
 */
export function readZip(archive: Uint8Array | Piece[], size = 0): ZipFile[] {
  const whole = archive instanceof Uint8Array;
  const pieces = whole ? [{ offset: 0, bytes: archive }] : archive;
  const at = (offset: number): DataView => {
    const piece = pieces.findLast((candidate) => candidate.offset <= offset) as Piece;
    return new DataView(piece.bytes.buffer, piece.bytes.byteOffset + offset - piece.offset);
  };
  const directory = findDirectory(at, whole ? archive.length : size);
  const files: ZipFile[] = [];
  let offset = directory.offset;
  for (let i = 0; i < directory.count; i++) {
    const record = at(offset);
    expectSignature(record, 0x02014b50);
    const nameLength = record.getUint16(28, true);
    const extraLength = record.getUint16(30, true);
    const name = text(record, 46, nameLength);
    const { entrySize, headerOffset } = widen(record, 46 + nameLength, extraLength);
    const header = at(headerOffset);
    expectSignature(header, 0x04034b50);
    if (text(header, 30, header.getUint16(26, true)) !== name) throw new Error(`local header of ${name} differs`);
    // With flag 8 the sizes and the checksum follow the data, as in files that PyTorch writes.
    const follows = (header.getUint16(6, true) & 8) !== 0;
    if (!follows && header.getUint32(14, true) !== record.getUint32(16, true))
      throw new Error(`CRC of ${name} differs`);
    const dataOffset = headerOffset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
    const bytes = whole ? archive.subarray(dataOffset, dataOffset + entrySize) : new Uint8Array(0);
    if (whole && Bun.hash.crc32(bytes) !== record.getUint32(16, true)) throw new Error(`CRC of ${name} is wrong`);
    files.push({ name, size: entrySize, dataOffset, bytes });
    offset += 46 + nameLength + extraLength;
  }
  if (offset !== directory.end) throw new Error("the directory does not end where its end record says");
  return files;
}

function findDirectory(at: (offset: number) => DataView, size: number) {
  const end = at(size - 22);
  expectSignature(end, 0x06054b50);
  const short = { count: end.getUint16(10, true), bytes: end.getUint32(12, true), offset: end.getUint32(16, true) };
  if (short.count < 0xffff && short.offset < 0xffffffff) return { ...short, end: short.offset + short.bytes };
  const locator = at(size - 42);
  expectSignature(locator, 0x07064b50);
  const wide = at(Number(locator.getBigUint64(8, true)));
  expectSignature(wide, 0x06064b50);
  const offset = Number(wide.getBigUint64(48, true));
  return { count: Number(wide.getBigUint64(32, true)), offset, end: offset + Number(wide.getBigUint64(40, true)) };
}

/** Takes from the ZIP64 extra field what the 32-bit fields say is there. */
function widen(record: DataView, extra: number, length: number): { entrySize: number; headerOffset: number } {
  let entrySize = record.getUint32(24, true);
  let headerOffset = record.getUint32(42, true);
  let field = extra + 4;
  if (entrySize === 0xffffffff) {
    entrySize = Number(record.getBigUint64(field, true));
    field += 16;
  }
  if (headerOffset === 0xffffffff) {
    headerOffset = Number(record.getBigUint64(field, true));
    field += 8;
  }
  if (length > 0 && field !== extra + length) throw new Error("the ZIP64 field has an unexpected length");
  return { entrySize, headerOffset };
}

function expectSignature(view: DataView, signature: number): void {
  if (view.getUint32(0, true) !== signature) throw new Error(`no signature ${signature.toString(16)}`);
}

function text(view: DataView, offset: number, length: number): string {
  return new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + offset, length));
}
