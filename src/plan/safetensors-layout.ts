import { type FileLayout, nameInFile, type PlacelessOp, tensorBytes } from "./place.ts";
import type { MergePlan } from "./types.ts";

/** The data section starts at a multiple of this many bytes: a cache line, and wide enough for every vector load. */
const ALIGNMENT = 64;
/** The header's length: an unsigned 64-bit little-endian integer. */
const LENGTH_BYTES = 8;

/** Where the tensors of one safetensors file lie, in the order given, without gaps. */
export function safetensorsLayout(tensors: readonly PlacelessOp[]): FileLayout {
  let offset = headerBytes(headerJson(tensors));
  const offsets = tensors.map((tensor) => {
    const start = offset;
    offset += tensorBytes(tensor);
    return start;
  });
  return { offsets, size: offset };
}

/**
 * The bytes of a safetensors file before its first tensor: length, JSON, and spaces up to a multiple of 64.
 * @param shardIndex an index into `plan.shards`.
 */
export function safetensorsHeader(plan: MergePlan, shardIndex: number): Uint8Array {
  const indices = plan.shards[shardIndex]?.ops ?? [];
  const json = headerJson(indices.map((index) => plan.ops[index] as PlacelessOp));
  const bytes = new Uint8Array(headerBytes(json)).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - LENGTH_BYTES), true);
  new TextEncoder().encodeInto(json, bytes.subarray(LENGTH_BYTES));
  return bytes;
}

function headerBytes(json: string): number {
  return Math.ceil((LENGTH_BYTES + Buffer.byteLength(json)) / ALIGNMENT) * ALIGNMENT;
}

/** `data_offsets` count from the end of the header, so this text does not depend on its own length. */
function headerJson(tensors: readonly PlacelessOp[]): string {
  let json = '{"__metadata__":{"format":"pt"}';
  let offset = 0;
  for (const tensor of tensors) {
    const end = offset + tensorBytes(tensor);
    const { dtype, shape } = tensor;
    json += `,${JSON.stringify(nameInFile(tensor))}:{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${offset},${end}]}`;
    offset = end;
  }
  return `${json}}`;
}
