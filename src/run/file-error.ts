import { type Problem, SinterError } from "../errors.ts";

const MEANINGS: Readonly<Record<string, { what: string; hint?: string }>> = {
  EACCES: { what: "permission denied" },
  EPERM: { what: "permission denied" },
  EROFS: { what: "the file system is read-only" },
  ENOSPC: { what: "the disk is full", hint: "free some space or choose an output folder on another disk" },
  EDQUOT: { what: "the disk quota is used up", hint: "free some space or choose an output folder on another disk" },
  ENOENT: { what: "no such file or folder" },
  ENOTDIR: { what: "a part of the path is not a folder" },
  EISDIR: { what: "it is a folder" },
  ENAMETOOLONG: { what: "the name is too long" },
};

/** What a failed file operation means, in words: `doing` is e.g. "cannot write the file". */
export function fileProblem(doing: string, path: string, error: unknown): Problem {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const meaning = MEANINGS[code];
  const reason = meaning?.what ?? (error instanceof Error ? error.message : String(error));
  return { code: "file-failed", message: `${doing}: ${reason}`, path, hint: meaning?.hint };
}

/** Runs a file operation. @throws SinterError that names the file where it fails. */
export function onFile<T>(doing: string, path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw new SinterError(fileProblem(doing, path, error));
  }
}
