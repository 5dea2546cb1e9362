import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What the tests read and nothing may write: models, headers, configurations and hostile files. */
const FOLDERS = ["architectures", "examples", "test/conformance/subset", "test/fuzz/corpus", "test/model/torch/files"];

/** XXH3-64 of every file that the tests read, by path. */
export function inputHashes(root: string): Map<string, string> {
  return new Map(
    FOLDERS.flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ parentPath, name }) => join(parentPath, name))
        .map((path) => [path, Bun.hash.xxHash3(readFileSync(path)).toString(16)] as const),
    ),
  );
}

/** Paths of files that are not as they were, not there any more, or new. */
export function changedPaths(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const paths = new Set([...before.keys(), ...after.keys()]);
  return [...paths].filter((path) => before.get(path) !== after.get(path));
}
