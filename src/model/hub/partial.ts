import { constants } from "node:fs";
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { type Checksum, checksumFor } from "./checksum.ts";
import type { HubFile } from "./listing.ts";

/** What is read at a time of a file that an earlier run began. */
const READ_BYTES = 4 * 2 ** 20;

/** More bytes came than the file has. */
export class Oversize extends Error {}

/**
 * A file that is being downloaded, `<etag>.incomplete` in the cache: always the first bytes of the file and nothing else,
 * so that its length says where to go on. Hashed as it grows.
 */
export interface Partial {
  /** Bytes so far. */
  bytes(): number;
  /** @throws Oversize */
  append(bytes: Uint8Array): Promise<void>;
  /** Throws everything away and starts from the first byte. */
  restart(): Promise<void>;
  /** Whether all bytes are there and are the right ones. Once. */
  isRight(): boolean;
  /** Gives the file its name once the disk has it. */
  commit(path: string): Promise<void>;
  /** Takes the file away. */
  remove(): Promise<void>;
  /** Leaves it for another run. */
  close(): Promise<void>;
}

/**
 * Opens, and reads what an earlier run left: a hash has no other way to go on.
 * @param onLength told how many bytes are there: at first, and after each change.
 */
export async function openPartial(
  path: string,
  file: HubFile,
  signal: AbortSignal,
  onLength: (bytes: number) => void,
): Promise<Partial> {
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o666);
  let checksum = checksumFor(file.etag, file.size);
  let length = 0;
  const setLength = (bytes: number) => {
    length = bytes;
    onLength(bytes);
  };
  const restart = async () => {
    await handle.truncate(0);
    checksum = checksumFor(file.etag, file.size);
    setLength(0);
  };
  try {
    const { size } = await handle.stat();
    if (size > file.size) await restart();
    else setLength(await hashFile(handle, checksum, signal));
  } catch (error) {
    await handle.close();
    throw error;
  }
  return {
    bytes: () => length,
    async append(bytes) {
      if (length + bytes.length > file.size) throw new Oversize();
      await writeAll(handle, bytes, length);
      checksum.update(bytes);
      setLength(length + bytes.length);
    },
    restart,
    isRight: () => length === file.size && checksum.digest() === file.etag,
    async commit(target) {
      await handle.sync();
      await handle.close();
      await rename(path, target);
    },
    async remove() {
      await handle.close();
      await unlink(path);
    },
    close: () => handle.close(),
  };
}

async function hashFile(handle: FileHandle, checksum: Checksum, signal: AbortSignal): Promise<number> {
  const buffer = new Uint8Array(READ_BYTES);
  let length = 0;
  for (;;) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, length);
    if (bytesRead === 0) return length;
    checksum.update(buffer.subarray(0, bytesRead));
    length += bytesRead;
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
