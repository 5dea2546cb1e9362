import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** Names of the files in a folder, and of links to files (the Hub's cache has only links), in order. */
export function listFiles(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isFile() || (entry.isSymbolicLink() && isFile(join(dir, entry.name))))
    .map((entry) => entry.name)
    .sort();
}

/** Whether there is a file, or a link to one. A pipe, say, is there too, but to open it could take forever. */
export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
