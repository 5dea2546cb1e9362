/** Reads zip archives whose members are not compressed, with or without zip64 fields, and checks every CRC-32. */

const END_OF_DIRECTORY = 0x06054b50;
const ZIP64_END_OF_DIRECTORY = 0x06064b50;
/** What a 32-bit field holds when the value stands in the zip64 extra field. */
const FULL = 0xffffffff;

export interface ZipMember {
  bytes: Uint8Array;
  /** From the start of the archive, in bytes. */
  offset: number;
}

/** Members by name, in the order of the directory. @throws where the archive is not sound. */
export function readZip(file: Buffer): Map<string, ZipMember> {
  const { count, start } = directory(file);
  const members = new Map<string, ZipMember>();
  let at = start;
  for (let i = 0; i < count; i++) {
    const nameEnd = at + 46 + file.readUInt16LE(at + 28);
    const extraEnd = nameEnd + file.readUInt16LE(at + 30);
    const name = file.toString("utf8", at + 46, nameEnd);
    if (file.readUInt16LE(at + 10) !== 0) throw new Error(`${name} is compressed`);
    const { size, header } = sizeAndHeader(file, at, file.subarray(nameEnd, extraEnd));
    const offset = header + 30 + file.readUInt16LE(header + 26) + file.readUInt16LE(header + 28);
    const bytes = file.subarray(offset, offset + size);
    if (bytes.length !== size) throw new Error(`${name} ends beyond the archive`);
    if (Bun.hash.crc32(bytes) !== file.readUInt32LE(at + 16)) throw new Error(`${name} does not have its CRC-32`);
    members.set(name, { bytes, offset });
    at = extraEnd + file.readUInt16LE(at + 32);
  }
  return members;
}

function directory(file: Buffer): { count: number; start: number } {
  let end = file.length - 22;
  while (end >= 0 && file.readUInt32LE(end) !== END_OF_DIRECTORY) end--;
  if (end < 0) throw new Error("the archive has no directory");
  const count = file.readUInt16LE(end + 10);
  const start = file.readUInt32LE(end + 16);
  if (start !== FULL && count !== 0xffff) return { count, start };
  const record = Number(file.readBigUInt64LE(end - 12));
  if (file.readUInt32LE(record) !== ZIP64_END_OF_DIRECTORY) throw new Error("the archive has no zip64 directory");
  return { count: Number(file.readBigUInt64LE(record + 32)), start: Number(file.readBigUInt64LE(record + 48)) };
}

function sizeAndHeader(file: Buffer, entry: number, extra: Buffer): { size: number; header: number } {
  const size = file.readUInt32LE(entry + 24);
  const compressed = file.readUInt32LE(entry + 20);
  const header = file.readUInt32LE(entry + 42);
  const wide = zip64Values(extra);
  const wanted = [size, compressed, header].map((field) => (field === FULL ? wide.shift() : field));
  return { size: wanted[0] as number, header: wanted[2] as number };
}

function zip64Values(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    const values = extra.readUInt16LE(at + 2) / 8;
    return Array.from({ length: values }, (_, i) => Number(extra.readBigUInt64LE(at + 4 + 8 * i)));
  }
  return [];
}
