/** Reads bfloat16 tensors of a model folder with nothing of Sinter's own code: what the demo checks Sinter against. */
import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";

interface Place {
  file: string;
  offset: number;
  count: number;
}

/** Where each tensor of a folder's safetensors files lies. */
export function tensorPlaces(folder: string): Map<string, Place> {
  const places = new Map<string, Place>();
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith(".safetensors"))) {
    const file = join(folder, name);
    const length = Number(new DataView(readBytes(file, 0, 8).buffer).getBigUint64(0, true));
    const header: Record<string, { dtype: string; data_offsets: [number, number] }> = JSON.parse(
      new TextDecoder().decode(readBytes(file, 8, length)),
    );
    for (const [tensor, { dtype, data_offsets }] of Object.entries(header)) {
      if (tensor === "__metadata__") continue;
      if (dtype !== "BF16") throw new Error(`${tensor} in ${file} is ${dtype}, not BF16`);
      const [begin, end] = data_offsets;
      places.set(tensor, { file, offset: 8 + length + begin, count: (end - begin) / 2 });
    }
  }
  return places;
}

/** A tensor's values, widened. */
export function readTensor({ file, offset, count }: Place): Float32Array {
  const bytes = readBytes(file, offset, 2 * count);
  const bits = new Uint16Array(bytes.buffer);
  const values = new Float32Array(count);
  const widened = new Uint32Array(values.buffer);
  for (let i = 0; i < count; i++) widened[i] = (bits[i] as number) << 16;
  return values;
}

function readBytes(file: string, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const descriptor = openSync(file, "r");
  try {
    for (let done = 0; done < length; ) {
      const got = readSync(descriptor, bytes, done, length - done, offset + done);
      if (got === 0) throw new Error(`${file} ends early`);
      done += got;
    }
  } finally {
    closeSync(descriptor);
  }
  return bytes;
}
