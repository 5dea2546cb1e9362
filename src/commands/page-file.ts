import { accessSync, constants, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { onFile } from "../run/file-error.ts";

/** A page that cannot be written should be known before the work, not after. @throws SinterError */
export function checkPageFile(file: string): void {
  const path = resolve(file);
  const there = statSync(path, { throwIfNoEntry: false });
  onFile("cannot write the page", path, () => {
    if (there?.isDirectory()) throw Object.assign(new Error(), { code: "EISDIR" });
    accessSync(there === undefined ? dirname(path) : path, constants.W_OK);
  });
}
