import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** A fresh empty folder, outside the repository. */
export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "sinter-model-"));
}

/** The beginning of a safetensors file: the length, then the header as given. */
export function headerBytes(header: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

/** A whole safetensors file of float32 zeros. */
export function safetensorsFile(shapes: Readonly<Record<string, readonly number[]>>): Uint8Array {
  let end = 0;
  const entries = Object.entries(shapes).map(([name, shape]) => {
    const begin = end;
    end += 4 * shape.reduce((count, size) => count * size, 1);
    return [name, { dtype: "F32", shape, data_offsets: [begin, end] }];
  });
  const header = headerBytes(JSON.stringify(Object.fromEntries(entries)));
  const file = new Uint8Array(header.length + end);
  file.set(header);
  return file;
}

/** Writes files (objects as JSON) into a folder, which is made where it is not there. @returns the folder. */
export function writeFolder(dir: string, files: Readonly<Record<string, string | Uint8Array | object>>): string {
  mkdirSync(dir, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    const isRaw = typeof content === "string" || content instanceof Uint8Array;
    writeFileSync(join(dir, name), isRaw ? content : JSON.stringify(content));
  }
  return dir;
}
