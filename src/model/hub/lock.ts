import { dlopen, FFIType } from "bun:ffi";
import { closeSync, mkdirSync, openSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Of flock(2): exclusive, without waiting. */
const LOCK_EX_NB = 2 | 4;
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
  const handle = openSync(path, "a", LOCK_MODE);
  const release = () => closeSync(handle);
  try {
    if (tryLock(handle) || !canLockBeside(path)) return release;
    onWait();
    while (!tryLock(handle)) await sleep(POLL_MS, undefined, { signal });
    return release;
  } catch (error) {
    release();
    throw signal.aborted ? signal.reason : error;
  }
}

/** Whether a file that nobody else knows can be locked: if not, it is not for want of patience. */
function canLockBeside(path: string): boolean {
  const probe = `${path}.${process.pid}`;
  const handle = openSync(probe, "a");
  try {
    return tryLock(handle);
  } finally {
    closeSync(handle);
    unlinkSync(probe);
  }
}

function tryLock(handle: number): boolean {
  return (flock()?.(handle, LOCK_EX_NB) ?? -1) === 0;
}

let loaded: { flock: ((handle: number, operation: number) => number) | undefined } | undefined;

/** The C library's flock, which Bun has no name for; undefined where there is none. */
function flock() {
  loaded ??= { flock: loadFlock() };
  return loaded.flock;
}

function loadFlock() {
  const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
  const libraries = process.platform === "darwin" ? ["libSystem.B.dylib"] : ["libc.so.6", `libc.musl-${arch}.so.1`];
  for (const library of libraries) {
    try {
      return dlopen(library, { flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 } }).symbols.flock;
    } catch {
      // Another C library, or a system without one of these: the next, or no locks.
    }
  }
  return undefined;
}
