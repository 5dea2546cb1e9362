import { join } from "node:path";

const compiler = [process.env.CC, "cc", "gcc", "clang"].find((name) => name !== undefined && Bun.which(name) !== null);

/** Compiles the library that makes calls of the operating system fail. @returns whether there is one at `path` now. */
export function compileFaults(path: string): boolean {
  if (process.platform !== "linux" || compiler === undefined) return false;
  const source = join(import.meta.dir, "faults.c");
  return Bun.spawnSync([compiler, "-shared", "-fPIC", "-O1", "-o", path, source, "-ldl"]).exitCode === 0;
}
