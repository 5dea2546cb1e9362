import { chmodSync, copyFileSync, cpSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../paths.ts";
import { STAGE } from "./paths.ts";

/** Copies of the sources with the release's addon where `src/native.ts` looks for it first. */
export const TREE = join(STAGE, "tree");

/** Starts afresh. @param addon the file that is to be embedded. */
export function stageTree(addon: string): void {
  rmSync(STAGE, { recursive: true, force: true });
  for (const name of ["src", "architectures", "schemas", "package.json", "tsconfig.json"]) copyInto(TREE, name);
  const place = join(TREE, "build", "Release", "sinter.node");
  mkdirSync(dirname(place), { recursive: true });
  copyFileSync(addon, place);
  symlinkSync(join(ROOT, "node_modules"), join(TREE, "node_modules"));
}

/** Copies a file or folder of the repository to the same place in another folder. */
export function copyInto(folder: string, name: string): void {
  cpSync(join(ROOT, name), join(folder, name), { recursive: true });
}

/** Copies a file, and lets everybody run it. */
export function copyProgram(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  chmodSync(to, 0o755);
}
