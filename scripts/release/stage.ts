import { chmodSync, copyFileSync, cpSync, mkdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../paths.ts";

/** Where the addon lies in a tree of sources: `src/native.ts` looks for it there first. */
export const ADDON_PLACE = join("build", "Release", "sinter.node");

/** Copies the sources to an empty folder, with the addon that is to be embedded. */
export function stageTree(tree: string, addon: string): void {
  for (const name of ["src", "architectures", "package.json", "tsconfig.json"]) copyInto(tree, name);
  mkdirSync(dirname(join(tree, ADDON_PLACE)), { recursive: true });
  copyFileSync(addon, join(tree, ADDON_PLACE));
  symlinkSync(join(ROOT, "node_modules"), join(tree, "node_modules"));
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
