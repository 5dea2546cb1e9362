import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { SinterError } from "../errors.ts";
import { hasher } from "../hash.ts";
import type { SideFile } from "../plan/types.ts";
import { fileProblem, onFile } from "./file-error.ts";
import type { WrittenFile } from "./written-files.ts";

const COPY_BYTES = 1 << 20;

/**
 * Writes a side file under its temporary name, `<name>.tmp`.
 * @returns what was written.
 * @throws SinterError that names the file that could not be read or written.
 */
export function stageFile(file: SideFile, folder: string): WrittenFile {
  const hash = hasher("sha256");
  let size = 0;
  const path = join(folder, `${file.name}.tmp`);
  const to = onFile("cannot create the file", path, () => openSync(path, "wx"));
  try {
    const take = (bytes: Uint8Array) => {
      writeAll(to, path, bytes);
      hash.update(bytes);
      size += bytes.length;
    };
    if ("from" in file) copy(file.from, take);
    else take(Buffer.from(file.text));
  } finally {
    closeSync(to);
  }
  return { bytes: size, sha256: hash.digest("hex") };
}

/** Waits until the disk has the staged files. @throws SinterError that names the file it failed to store. */
export async function syncStaged(names: readonly string[], folder: string): Promise<void> {
  await Promise.all(names.map((name) => syncFile(join(folder, `${name}.tmp`))));
}

async function syncFile(path: string): Promise<void> {
  try {
    const file = await open(path, "r");
    await file.sync().finally(() => file.close());
  } catch (error) {
    throw new SinterError(fileProblem("the disk failed to store the file", path, error));
  }
}

/** Copies contents only: permissions of a read-only model folder or cache do not carry over. */
function copy(from: string, take: (bytes: Uint8Array) => void): void {
  const source = onFile("cannot read the file to copy", from, () => openSync(from, "r"));
  try {
    const buffer = Buffer.allocUnsafe(COPY_BYTES);
    for (;;) {
      const read = onFile("cannot read the file to copy", from, () => readSync(source, buffer));
      if (read === 0) return;
      take(buffer.subarray(0, read));
    }
  } finally {
    closeSync(source);
  }
}

function writeAll(fd: number, path: string, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) {
    const start = written;
    written += onFile("cannot write the file", path, () => writeSync(fd, bytes, start));
  }
}
