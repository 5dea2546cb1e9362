import { readFileSync, writeFileSync } from "node:fs";
import { run } from "./run.ts";

/**
 * Packs a folder into FILE.tar.gz: sorted, without times, owners or permissions that depend on the machine, so that the
 * same files give the same bytes.
 * @param folder lies in `parent`, and is what the archive unpacks to. @returns `file`.
 */
export async function packFolder(parent: string, folder: string, file: string): Promise<string> {
  const tar = `${file.slice(0, -".gz".length)}`;
  await run(
    [
      "tar",
      "--sort=name",
      "--mtime=@0",
      "--owner=0",
      "--group=0",
      "--numeric-owner",
      "--mode=u+rwX,go=rX",
      "--format=ustar",
    ].concat(["-cf", tar, folder]),
    parent,
  );
  writeFileSync(file, Bun.gzipSync(readFileSync(tar), { level: 9 }));
  await Bun.file(tar).delete();
  return file;
}
