import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type NativeError, native } from "../../native.ts";

const POLL_MS = 200;
/** Group-writable, as huggingface_hub makes them: users may share a cache. */
const LOCK_MODE = 0o664;

/**
 * Waits until nobody else holds the lock file, in the way (flock) and at the place that Hugging Face's programs lock a
 * blob that they download. Where the file system has no such locks, nothing is locked: then two programs may download
 * a file twice, but each writes the same bytes to the same places, and checks them.
 * @param onWait called once, if it has to wait.
 * @returns what releases the lock. @throws the signal's reason; errors of the file system.
 */
export async function lockFile(path: string, signal: AbortSignal, onWait: () => void): Promise<() => void> {
  mkdirSync(dirname(path), { recursive: true });
  closeSync(openSync(path, "a", LOCK_MODE));
  let handle = tryLock(path);
  if (handle === undefined) onWait();
  while (handle === undefined) {
    await sleep(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    handle = tryLock(path);
  }
  const held = handle;
  return () => native().close(held);
}

/** @returns a handle; undefined where somebody else has the lock. */
function tryLock(path: string): number | undefined {
  try {
    return native().lock(path);
  } catch (error) {
    if ((error as NativeError).code === "LOCKED") return undefined;
    throw error;
  }
}
