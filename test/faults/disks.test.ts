import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Workplace } from "../end-to-end/programs.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";

/** Disks that really fail, where this process may mount some: files as disks, on a disk in memory that is too small for them. */
const work = new Workplace();
const mounted: string[] = [];
afterAll(() => {
  for (const folder of mounted.toReversed()) Bun.spawnSync(["umount", "-l", folder]);
  work.remove();
});

const run = (...command: string[]) => Bun.spawnSync(command, { cwd: work.folder, stderr: "ignore" }).success;

function mount(folder: string, ...options: string[]): boolean {
  mkdirSync(work.path(folder), { recursive: true });
  const done = run("mount", ...options, work.path(folder));
  if (done) mounted.push(work.path(folder));
  return done;
}

function unmount(folder: string): void {
  expect(run("umount", work.path(folder))).toBe(true);
  mounted.splice(mounted.indexOf(work.path(folder)), 1);
}

/** A file system in a file of holes: it takes no memory until it is written to. */
function makeDisk(image: string, bytes: number, ...command: string[]): boolean {
  writeFileSync(work.path(image), "");
  truncateSync(work.path(image), bytes);
  return run(...command, work.path(image));
}

const EXT4 = ["mkfs.ext4", "-q", "-F", "-O", "^has_journal"];
const mayMount =
  process.platform === "linux" &&
  process.getuid?.() === 0 &&
  Bun.which("mkfs.ext4") !== null &&
  mount("memory", "-t", "tmpfs", "-o", "size=64m", "none") &&
  makeDisk("memory/trial", 8 << 20, ...EXT4) &&
  mount("trial", "-o", "loop", work.path("memory/trial"));

const MiB = 1 << 20;
const config = work.config(
  "merge_method: linear\nmodels:\n  - {model: ./a, parameters: {weight: 1}}\n  - {model: ./b, parameters: {weight: 3}}\n",
);
const ARGS = ["--out-shard-size", "1M", "--no-copy-tokenizer"];

beforeAll(() => {
  if (!mayMount) return;
  const base = writeTinyModel(work.path("a"), { seed: 1, vocab: 60_000, layers: 2 });
  writeTinyModel(work.path("b"), { seed: 2, vocab: 60_000, layers: 2, base });
});

/** Nothing that a reader takes for a model or a part of one. */
const weights = (folder: string) => (work.list(folder) ?? []).filter((name) => !name.endsWith(".tmp"));

describe.skipIf(!mayMount)("a disk", () => {
  test("that fails to write: an error, and no model", async () => {
    expect(mount("small", "-t", "tmpfs", "-o", "size=1500k", "none")).toBe(true);
    expect(makeDisk("small/image", 16 * MiB, ...EXT4)).toBe(true);
    expect(mount("failing", "-o", "loop", work.path("small/image"))).toBe(true);
    const { exitCode, stderr } = await work.merge(config, join("failing", "out"), ...ARGS);
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringMatching(/^error: .*(the disk became full|Input\/output error)/m),
    ]);
    expect(stderr).toContain("model-0000");
    expect(weights(join("failing", "out"))).toEqual([]);
    // The loop device lets go of its file a moment later.
    for (const folder of ["failing", "small"]) expect(run("umount", "-l", work.path(folder))).toBe(true);
  });

  test("that fails to read, under the mapping: the file, its model and the tensor", async () => {
    expect(makeDisk("memory/image", 16 * MiB, ...EXT4)).toBe(true);
    expect(mount("model", "-o", "loop", work.path("memory/image"))).toBe(true);
    cpSync(work.path("b"), work.path("model", "b"), { recursive: true });
    // Mounted anew, nothing of it is in memory.
    unmount("model");
    expect(mount("model", "-o", "loop,ro", work.path("memory/image"))).toBe(true);
    // In memory while the disk is whole: what planning reads.
    for (const name of work.list(join("model", "b")) ?? []) {
      expect(run("head", "-c", "65536", work.path("model", "b", name))).toBe(true);
    }
    const offset = physicalOffset(work.path("model", "b", "model.safetensors"));
    truncateSync(work.path("memory/image"), offset + MiB);
    const failing = work.config(
      "merge_method: linear\nmodels:\n  - {model: ./a, parameters: {weight: 1}}\n  - {model: ./model/b, parameters: {weight: 3}}\n",
    );
    const { exitCode, stderr } = await work.merge(failing, "from-failing", ...ARGS);
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringMatching(
        /shrank or failed while it was being read \(model \.\/model\/b, tensor .*model\/b\/model\.safetensors/,
      ),
    ]);
    expect(weights("from-failing")).toEqual([]);
    truncateSync(work.path("memory/image"), 16 * MiB);
    unmount("model");
  });

  test("of another kind than the inputs', and another one for what is gone on with", async () => {
    const out = join("memory", "out");
    expect(await work.merge(config, out, ...ARGS)).toMatchObject({ exitCode: 0 });
    expect(await work.merge(config, "out", ...ARGS)).toMatchObject({ exitCode: 0 });
    for (const name of work.list("out") ?? []) {
      expect([name, await Bun.file(work.path(out, name)).text()]).toEqual([
        name,
        await Bun.file(work.path("out", name)).text(),
      ]);
    }
  });
});

/** Where the file's first byte lies on its disk. */
function physicalOffset(path: string): number {
  const { stdout } = Bun.spawnSync(
    ["debugfs", "-R", `blocks ${path.slice(work.path("model").length)}`, work.path("memory/image")],
    { stderr: "ignore" },
  );
  return 1024 * Number(stdout.toString().trim().split(" ")[0]);
}

const hasQuotas = mayMount && Bun.which("mkfs.btrfs") !== null && Bun.which("btrfs") !== null;
test.skipIf(!hasQuotas)("a quota that is used up: an error that says so, and the next run goes on", async () => {
  expect(makeDisk("quota.image", 160 * MiB, "mkfs.btrfs", "-q")).toBe(true);
  expect(mount("quota", "-o", "loop", work.path("quota.image"))).toBe(true);
  const mine = work.path("quota", "mine");
  expect(run("btrfs", "quota", "enable", work.path("quota")) && run("btrfs", "subvolume", "create", mine)).toBe(true);
  expect(run("btrfs", "qgroup", "limit", "1400K", mine)).toBe(true);
  const { exitCode, stderr } = await work.merge(config, join("quota", "mine", "out"), ...ARGS);
  expect([exitCode, stderr]).toEqual([
    1,
    expect.stringMatching(/^error: .*(the disk became full|the disk quota is used up)/m),
  ]);
  expect(weights(join("quota", "mine", "out"))).toEqual([]);
  expect(run("btrfs", "qgroup", "limit", "none", mine)).toBe(true);
  expect(await work.merge(config, join("quota", "mine", "out"), ...ARGS)).toMatchObject({ exitCode: 0 });
});
