import type { ByteFile } from "../../../src/model/byte-file.ts";
import { truncated } from "../../../src/model/byte-file.ts";

/** A file in memory that notes the longest part that was read of it. */
export interface MemoryFile extends ByteFile {
  readonly longest: { length: number };
}

export function memoryFile(bytes: Uint8Array, path = "memory.bin"): MemoryFile {
  const longest = { length: 0 };
  const read = (offset: number, length: number): Buffer => {
    if (!Number.isInteger(offset) || !Number.isInteger(length) || offset < 0 || length < 0) {
      throw new Error(`a read of ${length} bytes from ${offset}`);
    }
    if (offset + length > bytes.length) throw truncated(bytes.length, offset, length);
    longest.length = Math.max(longest.length, length);
    return Buffer.from(bytes.slice(offset, offset + length));
  };
  return { path, size: bytes.length, read, longest };
}

/** Parts of a pickle, one opcode with its arguments each. */
export const op = {
  start: bytes(0x80, 2),
  stop: bytes(0x2e),
  mark: bytes(0x28),
  none: bytes(0x4e),
  false: bytes(0x89),
  emptyTuple: bytes(0x29),
  emptyList: bytes(0x5d),
  emptyDict: bytes(0x7d),
  tuple: bytes(0x74),
  append: bytes(0x61),
  setItem: bytes(0x73),
  setItems: bytes(0x75),
  reduce: bytes(0x52),
  build: bytes(0x62),
  persistent: bytes(0x51),
  int: (value: number) => Buffer.concat([bytes(0x4a), number(4, (b) => b.writeInt32LE(value))]),
  text: (value: string) => {
    const utf8 = Buffer.from(value);
    return Buffer.concat([bytes(0x58), number(4, (b) => b.writeUInt32LE(utf8.length)), utf8]);
  },
  global: (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`),
  put: (index: number) => bytes(0x71, index),
  get: (index: number) => bytes(0x68, index),
};

export function pickle(...parts: Uint8Array[]): Buffer {
  return Buffer.concat([op.start, ...parts, op.stop]);
}

/** `(…values)`. */
export function tuple(...values: Uint8Array[]): Buffer {
  return Buffer.concat([op.mark, ...values, op.tuple]);
}

export function dict(items: Readonly<Record<string, Uint8Array>>): Buffer {
  const pairs = Object.entries(items).flatMap(([key, value]) => [op.text(key), value]);
  return Buffer.concat([op.emptyDict, op.mark, ...pairs, op.setItems]);
}

export interface WrittenTensor {
  shape: readonly number[];
  strides?: readonly number[];
  start?: number;
  type?: string;
  /** Elements of the storage; as many as the shape has unless given. */
  count?: number;
  /** In old files: the part of the storage that is meant. */
  part?: Uint8Array;
}

/** `torch._utils._rebuild_tensor_v2(storage, start, shape, strides, False, OrderedDict())`. */
export function tensor(
  key: string,
  { shape, strides, start = 0, type = "FloatStorage", count, part }: WrittenTensor,
): Buffer {
  const elements = shape.reduce((product, size) => product * size, 1);
  const id = [op.text("storage"), op.global("torch", type), op.text(key), op.text("cpu"), op.int(count ?? elements)];
  const rowMajor = shape.map((_, i) => shape.slice(i + 1).reduce((product, size) => product * size, 1));
  const args = [
    Buffer.concat([tuple(...id, ...(part === undefined ? [] : [part])), op.persistent]),
    op.int(start),
    tuple(...shape.map(op.int)),
    tuple(...(strides ?? rowMajor).map(op.int)),
    op.false,
    Buffer.concat([op.global("collections", "OrderedDict"), op.emptyTuple, op.reduce]),
  ];
  return Buffer.concat([op.global("torch._utils", "_rebuild_tensor_v2"), tuple(...args), op.reduce]);
}

export interface WrittenEntry {
  name: string;
  bytes: Uint8Array;
  method?: number;
  flags?: number;
  /** Name in the header before the data, where it is another than in the directory. */
  headerName?: string;
  /** Bytes of padding in the header's extra field. */
  padding?: number;
  /** Where the directory says that the header is. */
  headerOffset?: number;
  /** The size that the directory gives. */
  size?: number;
}

/** A zip archive, with what the directory says open to lies. `zip64` writes sizes and offsets in the larger records. */
export function zip(entries: readonly WrittenEntry[], { zip64 = false, count = entries.length } = {}): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const header = localHeader(entry);
    directory.push(directoryEntry(entry, entry.headerOffset ?? offset, zip64));
    parts.push(header, Buffer.from(entry.bytes));
    offset += header.length + entry.bytes.length;
  }
  const listed = Buffer.concat(directory);
  return Buffer.concat([...parts, listed, ...endRecords({ count, size: listed.length, offset }, zip64)]);
}

function localHeader({
  name,
  headerName = name,
  bytes: data,
  method = 0,
  flags = 0,
  padding = 0,
}: WrittenEntry): Buffer {
  const utf8 = Buffer.from(headerName);
  const header = number(30, (b) => {
    b.writeUInt32LE(0x04034b50, 0);
    b.writeUInt16LE(flags, 6);
    b.writeUInt16LE(method, 8);
    b.writeUInt32LE(data.length, 18);
    b.writeUInt32LE(data.length, 22);
    b.writeUInt16LE(utf8.length, 26);
    b.writeUInt16LE(padding, 28);
  });
  return Buffer.concat([header, utf8, Buffer.alloc(padding)]);
}

function directoryEntry(entry: WrittenEntry, offset: number, zip64: boolean): Buffer {
  const { name, method = 0, flags = 0, size = entry.bytes.length } = entry;
  const utf8 = Buffer.from(name);
  const extra = zip64
    ? Buffer.concat([number(4, (b) => b.writeUInt32LE(0x180001)), u64(size), u64(size), u64(offset)])
    : "";
  const record = number(46, (b) => {
    b.writeUInt32LE(0x02014b50, 0);
    b.writeUInt16LE(flags, 8);
    b.writeUInt16LE(method, 10);
    b.writeUInt32LE(zip64 ? 0xffffffff : size, 20);
    b.writeUInt32LE(zip64 ? 0xffffffff : size, 24);
    b.writeUInt16LE(utf8.length, 28);
    b.writeUInt16LE(extra.length, 30);
    b.writeUInt32LE(zip64 ? 0xffffffff : offset, 42);
  });
  return Buffer.concat([record, utf8, Buffer.from(extra)]);
}

function endRecords(
  { count, size, offset }: { count: number; size: number; offset: number },
  zip64: boolean,
): Buffer[] {
  const end = number(22, (b) => {
    b.writeUInt32LE(0x06054b50, 0);
    b.writeUInt16LE(zip64 ? 0xffff : count, 8);
    b.writeUInt16LE(zip64 ? 0xffff : count, 10);
    b.writeUInt32LE(zip64 ? 0xffffffff : size, 12);
    b.writeUInt32LE(zip64 ? 0xffffffff : offset, 16);
  });
  if (!zip64) return [end];
  const signature = number(24, (b) => b.writeUInt32LE(0x06064b50));
  const end64 = Buffer.concat([signature, u64(count), u64(count), u64(size), u64(offset)]);
  const locator = number(20, (b) => {
    b.writeUInt32LE(0x07064b50, 0);
    b.writeBigUInt64LE(BigInt(offset + size), 8);
    b.writeUInt32LE(1, 16);
  });
  return [end64, locator, end];
}

/** A checkpoint in the format of PyTorch 1.6 and later. */
export function archive(root: Uint8Array, storages: Readonly<Record<string, Uint8Array>>, folder = "archive"): Buffer {
  return zip([
    { name: `${folder}/data.pkl`, bytes: pickle(root) },
    { name: `${folder}/byteorder`, bytes: Buffer.from("little") },
    ...Object.entries(storages).map(([key, data], i) => ({
      name: `${folder}/data/${key}`,
      bytes: data,
      padding: 7 * i,
    })),
  ]);
}

/** A checkpoint in the format before. `elementBytes`: of every storage. */
export function legacy(
  root: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>>,
  { elementBytes = 4, littleEndian = true, version = 1001 } = {},
): Buffer {
  const magic = Buffer.from("8a0a6cfc9c46f920 6aa85019".replace(" ", ""), "hex");
  const system = dict({ little_endian: littleEndian ? bytes(0x88) : op.false });
  const keys = Object.keys(storages).flatMap((key) => [op.text(key), op.append]);
  return Buffer.concat([
    pickle(magic),
    pickle(op.int(version)),
    pickle(system),
    pickle(root),
    pickle(op.emptyList, ...keys),
    ...Object.values(storages).flatMap((data) => [u64(data.length / elementBytes), Buffer.from(data)]),
  ]);
}

export function floats(...values: number[]): Buffer {
  return Buffer.from(new Float32Array(values).buffer);
}

function bytes(...values: number[]): Buffer {
  return Buffer.from(values);
}

function u64(value: number): Buffer {
  return number(8, (b) => b.writeBigUInt64LE(BigInt(value)));
}

function number(length: number, write: (bytes: Buffer) => void): Buffer {
  const result = Buffer.alloc(length);
  write(result);
  return result;
}
