import { lstatSync, mkdirSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { SinterError } from "../errors.ts";
import type { Addon } from "../native.ts";
import { onFile } from "./file-error.ts";
import { nativeProblem } from "./native-error.ts";

/** A folder for files that a command makes and reads again before it writes its output. One process has it at a time. */
export interface ScratchFolder {
  /**
   * Makes the folder, takes it for this process and clears away what a process that was killed left in it; once.
   * @returns its path. @throws SinterError where another process has it, or it cannot be made.
   */
  take(): string;
  /** Removes it with all that is in it, where it was taken. */
  release(): void;
}

const LOCK = "lock";
/** Who has it may remove it between our making it and our locking it, but hardly several times. */
const ATTEMPTS = 5;

/** Beside the output, on its disk. The name follows from the output's: the next run finds what a killed one left there. */
export function scratchPath(out: string): string {
  return join(dirname(resolve(out)), `.${basename(resolve(out))}.sinter`);
}

/** The scratch folder of an output; nothing is made yet. */
export function scratchFolder(out: string, addon: Addon): ScratchFolder {
  const path = scratchPath(out);
  let release: (() => void) | undefined;
  return {
    take() {
      release ??= takeFolder(path, addon);
      return path;
    },
    release() {
      release?.();
      release = undefined;
    },
  };
}

/** @returns what removes the folder. */
function takeFolder(path: string, addon: Addon): () => void {
  // A link that somebody put there is not followed: what it leads to would be cleared away.
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat !== undefined && !stat.isDirectory()) onFile("cannot remove the file", path, () => rmSync(path));
  const first = onFile("cannot create the folder", path, () => mkdirSync(path, { recursive: true }));
  const lock = lockIn(path, addon);
  for (const name of readdirSync(path)) {
    if (name !== LOCK) onFile("cannot remove the file", join(path, name), () => removeAll(join(path, name)));
  }
  return () => {
    removeAll(path);
    addon.close(lock);
    if (first !== undefined) removeEmpty(dirname(path), first);
  };
}

/** Parents of the output that were made for it, where there is no output. @param first the outermost of them. */
function removeEmpty(path: string, first: string): void {
  for (let one = path; one.length >= first.length; one = dirname(one)) {
    try {
      rmdirSync(one);
    } catch {
      return;
    }
  }
}

function removeAll(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

function lockIn(path: string, addon: Addon): number {
  for (let attempt = 1; ; attempt++) {
    try {
      return addon.lock(join(path, LOCK));
    } catch (error) {
      const gone = lstatSync(path, { throwIfNoEntry: false }) === undefined;
      if (!gone || attempt === ATTEMPTS) throw new SinterError(nativeProblem(error, { path }));
      mkdirSync(path, { recursive: true });
    }
  }
}
