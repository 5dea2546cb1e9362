import { copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { outputOf } from "../../support/output-of.ts";

/** What goes wrong with a library: see library.cc. */
export const FAKE_MODES = [
  "works",
  "no_device",
  "old_version",
  "too_new",
  "fails",
  "no_memory",
  "not_finite",
  "wrong_vectors",
] as const;

export type FakeMode = (typeof FAKE_MODES)[number];

/** Whether there is a compiler to build one with. */
export const CAN_BUILD = process.platform === "linux" && Bun.which("c++") !== null;

/** Builds libraries that stand for both libcusolver and libcudart: each in a folder of `parent` of the mode's name. */
export async function buildFakes(parent: string): Promise<void> {
  const library = join(parent, "library.so");
  const flags = ["-std=c++17", "-O1", "-shared", "-fPIC"];
  await outputOf(["c++", ...flags, "-o", library, join(import.meta.dir, "library.cc")]);
  for (const mode of FAKE_MODES) {
    const folder = join(parent, mode);
    mkdirSync(folder);
    copyFileSync(library, join(folder, "libcusolver.so.11"));
    symlinkSync("libcusolver.so.11", join(folder, "libcudart.so.12"));
  }
}
