import { afterAll, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packFolder } from "../../scripts/release/archive.ts";
import { packPackage } from "../../scripts/release/packages.ts";
import { VERSION } from "../../scripts/release/paths.ts";

const root = mkdtempSync(join(realpathSync(tmpdir()), "sinter-archive-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** The same package in a folder of another name: written in another order, at another time, by one with another umask. */
function lay(parent: string, order: readonly string[], mask: number, time: number): string {
  const folder = join(root, parent, "made");
  mkdirSync(join(folder, "bin"), { recursive: true });
  const files: Record<string, [mode: number, text: string]> = {
    "package.json": [0o666, JSON.stringify({ name: "made", version: VERSION, files: ["bin", "z.txt"] })],
    "bin/run": [0o777, "#!/bin/sh\n"],
    "z.txt": [0o666, "z\n"],
    "bin/a.txt": [0o666, "a\n"],
  };
  for (const name of order) {
    const [mode = 0, text = ""] = files[name] ?? [];
    writeFileSync(join(folder, name), text);
    chmodSync(join(folder, name), mode & ~mask);
    utimesSync(join(folder, name), time, time);
  }
  chmodSync(join(folder, "bin"), 0o777 & ~mask);
  return folder;
}

test("archives have the same bytes whoever packs the same files, where, when and in which order", async () => {
  const order = ["package.json", "bin/run", "z.txt", "bin/a.txt"];
  const made = [lay("one", order, 0o022, 1e9), lay("another/place", order.toReversed(), 0o077, 1.5e9)];
  const bytes = made.map(async (folder) => {
    const parent = join(folder, "..");
    const npm = readFileSync(await packPackage(folder, "made", parent));
    return [npm, readFileSync(await packFolder(parent, "made", join(parent, "made.tar.gz")))] as const;
  });
  const [one, other] = await Promise.all(bytes);
  expect([0, 1].map((i) => one?.[i]?.equals(other?.[i] as Buffer))).toEqual([true, true]);
});
