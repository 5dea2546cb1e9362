import type { Addon } from "./native.ts";

/** `MFD_CLOEXEC`: programs that are started do not get it. */
const CLOSED_IN_CHILDREN = 1;

/**
 * The addon that a single executable holds, loaded without a file: Bun unpacks it into the folder for temporary files,
 * which may be read-only, missing, full, or mounted so that nothing in it can be run.
 * @returns undefined in what is no single executable.
 * @throws where the system does not let it be loaded that way.
 */
export function addonFromMemory(): Addon | undefined {
  const held =
    typeof Bun === "undefined" ? undefined : Bun.embeddedFiles.map(nameOf).find((name) => name.endsWith(".node"));
  if (held === undefined) return undefined;
  const { readFileSync, writeSync } = require("node:fs") as typeof import("node:fs");
  const { dlopen } = require("bun:ffi") as typeof import("bun:ffi");
  const { symbols } = dlopen("libc.so.6", { memfd_create: { args: ["cstring", "u32"], returns: "int" } });
  const file = symbols.memfd_create(Buffer.from("sinter.node\0"), CLOSED_IN_CHILDREN);
  const bytes = readFileSync(`/$bunfs/root/${held}`);
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
  const loaded = { exports: {} };
  // The file stays open for as long as the addon is in use: to the end.
  process.dlopen(loaded, `/proc/self/fd/${file}`);
  return loaded.exports as Addon;
}

function nameOf(file: Blob): string {
  return (file as File).name;
}
