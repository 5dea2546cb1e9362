import { readFileSync, writeFileSync } from "node:fs";
import { DTYPE_BYTES, type Dtype } from "../../src/model/dtype.ts";

/**
 * The safetensors format for tests, in memory and as simple as the format allows: 8 bytes of header length, JSON, data.
 * Independent of src/model, which it helps to check.
 */
export interface StoredTensor {
  dtype: Dtype;
  shape: readonly number[];
  bytes: Uint8Array;
}

export interface SafetensorsFile {
  metadata: Record<string, string> | undefined;
  tensors: Map<string, StoredTensor>;
  /** Where the data section starts, in bytes from the start of the file. */
  dataStart: number;
}

interface HeaderEntry {
  dtype: Dtype;
  shape: number[];
  data_offsets: [number, number];
}

/** Reads a whole file. @throws where names, offsets and sizes do not fit together. */
export function readSafetensors(path: string): SafetensorsFile {
  const file = readFileSync(path);
  const headerLength = Number(file.readBigUInt64LE(0));
  const dataStart = 8 + headerLength;
  const { __metadata__: metadata, ...entries } = JSON.parse(file.subarray(8, dataStart).toString("utf8")) as Record<
    string,
    HeaderEntry
  >;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, { dtype, shape, data_offsets: range }] of Object.entries(entries)) {
    const [start, end] = range;
    const expected = shape.reduce((count, size) => count * size, DTYPE_BYTES[dtype]);
    if (end - start !== expected) throw new Error(`${path}: ${name} has ${end - start} bytes, not ${expected}`);
    if (dataStart + end > file.length) throw new Error(`${path}: ${name} ends beyond the file`);
    tensors.set(name, { dtype, shape, bytes: file.subarray(dataStart + start, dataStart + end) });
  }
  return { metadata: metadata as unknown as Record<string, string> | undefined, tensors, dataStart };
}

/** Writes tensors in their order without gaps. `padding` spaces after the header move the data to any address. */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  { padding = 0, metadata = { format: "pt" } as Record<string, string> } = {},
): void {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  const json = new TextEncoder().encode(JSON.stringify(header) + " ".repeat(padding));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  writeFileSync(path, Buffer.concat([length, json, ...Array.from(tensors.values(), ({ bytes }) => bytes)]));
}
