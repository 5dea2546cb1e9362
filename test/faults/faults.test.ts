import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { native } from "../../src/native.ts";
import { blocks } from "../docs/pages.ts";
import { shapeOf } from "../docs/shape.ts";
import { Workplace } from "../end-to-end/programs.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { compileFaults } from "./library.ts";

const work = new Workplace();
const library = work.path("faults.so");
const works = compileFaults(library);

const size = { vocab: 30_001, layers: 2 };
const a = writeTinyModel(work.path("a"), { ...size, seed: 1 });
writeTinyModel(work.path("b"), { ...size, seed: 2, base: a });
const config = work.config(
  "merge_method: linear\nmodels:\n  - {model: ./a, parameters: {weight: 1}}\n  - {model: ./b, parameters: {weight: 3}}\n",
);
const ARGS = ["--out-shard-size", "20000", "--quiet"];

let turn = 0;
/** All of one name: it stands in the card. */
const newFolder = () => join(`run-${++turn}`, "merged");

function contents(out: string): Map<string, string> {
  const names = readdirSync(work.path(out)).sort();
  return new Map(names.map((name) => [name, readFileSync(work.path(out, name), "latin1")]));
}

const undisturbed = new Map<string, string>();

/** What the same merge writes where nothing fails. */
async function expectWhole(out: string): Promise<void> {
  if (undisturbed.size === 0) {
    expect(await work.merge(config, join("undisturbed", "merged"), ...ARGS)).toMatchObject({ exitCode: 0, stderr: "" });
    for (const [name, bytes] of contents(join("undisturbed", "merged"))) undisturbed.set(name, bytes);
  }
  const found = contents(out);
  expect([...found.keys()]).toEqual([...undisturbed.keys()]);
  for (const [name, bytes] of undisturbed) expect([name, found.get(name) === bytes]).toEqual([name, true]);
}

/** Nothing in the folder has a name by which a reader takes it for a model or a part of one. */
function expectNoModel(out: string): void {
  const names = work.list(out) ?? [];
  expect(names.filter((name) => !name.endsWith(".tmp"))).toEqual([]);
}

/** The block of docs/durability.md that begins so. */
const shown = (start: string) => blocks("docs/durability.md", "").find((block) => block.startsWith(start)) ?? "";

const withFault = (fault: string, env: Record<string, string> = {}) => ({
  ...env,
  LD_PRELOAD: library,
  SINTER_FAULT: fault,
});

describe.skipIf(!works)("a call of the operating system that fails", () => {
  const failing: [string, string, RegExp][] = [
    ["a disk that becomes full", "pwrite:ENOSPC:20", /the disk became full while the output was written/],
    ["a quota that is used up", "pwrite:EDQUOT:20", /the disk became full/],
    ["an error of the disk", "pwrite:EIO:20", /cannot write the output: .*Input\/output error/],
    ["a disk that is read-only all of a sudden", "pwrite:EROFS:20", /Read-only file system/],
    ["a disk too full to reserve a file", "fallocate:ENOSPC:2", /the disk became full/],
    ["a disk that fails to store a file", "fsync:EIO:2", /Input\/output error/],
    ["a disk that is full when a file is stored", "fsync:ENOSPC:2", /the disk became full/],
    ["no memory to map an input", "mmap:ENOMEM:2", /cannot open the input file: .*Cannot allocate memory/],
  ];
  test.each(failing)("%s: an error that says so, no model, and the next run ends well", async (_, fault, message) => {
    const out = newFolder();
    const failed = await work.run("sinter", ["merge", config, out, ...ARGS], withFault(fault));
    expect([failed.exitCode, failed.stderr]).toEqual([1, expect.stringMatching(message)]);
    expect(failed.stderr).not.toContain("a fault in Sinter");
    expectNoModel(out);
    expect(await work.merge(config, out, ...ARGS)).toMatchObject({ exitCode: 0, stderr: "" });
    await expectWhole(out);
  });

  test("no memory for a buffer: the same", async () => {
    const out = newFolder();
    const env = withFault("aligned_alloc:ENOMEM:1", { SINTER_WRITE_PATH: "direct" });
    const failed = await work.run("sinter", ["merge", config, out, ...ARGS], env);
    expect([failed.exitCode, failed.stderr]).toEqual([1, expect.stringContaining("there is not enough memory")]);
    expectNoModel(out);
  });

  test("an error of the disk while a file is read for its SHA-256: said with its name", async () => {
    const out = newFolder();
    expect(await work.merge(config, out, ...ARGS)).toMatchObject({ exitCode: 0 });
    const verified = await work.run("sinter", ["verify", out, "--sha256"], withFault("read:EIO:3"));
    expect(verified.exitCode).toBe(1);
    expect(verified.stderr + verified.stdout).toMatch(/Input\/output error/);
  });

  const harmless: [string, string][] = [
    ["writes of half of the bytes", "pwrite:short:1"],
    ["writes that a signal interrupts", "pwrite:EINTR:1:50"],
    ["a file system that reserves no blocks", "fallocate:EOPNOTSUPP:1"],
    ["a file system that has no locks", "flock:ENOLCK:1"],
  ];
  test.each(harmless)("%s: the model is whole", async (_, fault) => {
    const out = newFolder();
    const done = await work.run("sinter", ["merge", config, out, ...ARGS], withFault(fault));
    expect(done).toMatchObject({ exitCode: 0, stderr: "" });
    await expectWhole(out);
  });

  test.each(["EINVAL", "EFAULT"])("direct writes that are refused (%s): the model is whole", async (error) => {
    const out = newFolder();
    const env = withFault(`direct:${error}:1`, { SINTER_WRITE_PATH: "direct" });
    const done = await work.run("sinter", ["merge", config, out, ...ARGS], env);
    expect(done).toMatchObject({ exitCode: 0, stderr: "" });
    await expectWhole(out);
  });
});

/** Starts a merge that takes its time; resolves when its first files are there. */
async function slowMerge(out: string) {
  const bin = join(import.meta.dir, "..", "..", "bin", "sinter");
  const child = Bun.spawn([bin, "merge", config, out, ...ARGS, "--threads", "1"], {
    cwd: work.folder,
    env: { ...process.env, SINTER_BUN: process.execPath, NO_COLOR: "1", ...withFault("pwrite:slow:30") },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const journal = work.path(out, "sinter_journal.tmp");
  while (!existsSync(journal) || readFileSync(journal, "utf8").split("\n").length < 6) await Bun.sleep(5);
  return child;
}

describe.skipIf(!works)("a signal", () => {
  const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
  test.each(["SIGHUP", "SIGINT", "SIGTERM"] as const)(
    "%s: the work is kept, and it is said how to go on",
    async (signal) => {
      const out = newFolder();
      const child = await slowMerge(out);
      child.kill(signal);
      const stderr = await new Response(child.stderr).text();
      expect(await child.exited).toBe(exitCodes[signal]);
      const [, interrupted = "", goesOn = ""] = shown("$ sinter merge").split(/\$ sinter merge .*\n(?:\^C)?/);
      expect(shapeOf(stderr)).toBe(shapeOf(interrupted.replace("SIGINT", signal)));
      expectNoModel(out);
      const { stderr: told } = await work.merge(config, out, "--out-shard-size", "20000");
      expect(shapeOf(told).split("\n")[0]).toBe(shapeOf(goesOn));
      await expectWhole(out);
    },
  );

  test("another seed makes the work useless, and it is said why", async () => {
    const out = newFolder();
    const child = await slowMerge(out);
    child.kill("SIGTERM");
    await child.exited;
    const { stderr } = await work.merge(config, out, ...ARGS, "--seed", "7");
    expect(stderr).toContain(shown("warning: begins anew"));
  });

  test("SIGINT twice ends it at once, and the next run goes on all the same", async () => {
    const out = newFolder();
    const child = await slowMerge(out);
    child.kill("SIGINT");
    child.kill("SIGINT");
    await child.exited;
    expectNoModel(out);
    expect(await work.merge(config, out, ...ARGS)).toMatchObject({ exitCode: 0 });
    await expectWhole(out);
  });
});

test("a merge into a folder that another process writes to is refused", async () => {
  const out = newFolder();
  mkdirSync(work.path(out), { recursive: true });
  const lock = native().lock(work.path(out, "sinter_journal.tmp"));
  const { exitCode, stderr } = await work.merge(config, out, ...ARGS);
  native().close(lock);
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining("another merge is writing to the output folder")]);
  expectNoModel(out);
  expect(await work.merge(config, out, ...ARGS)).toMatchObject({ exitCode: 0, stderr: "" });
  await expectWhole(out);
});

test("a reader of messages and summary that went away does not stop a merge", async () => {
  const out = newFolder();
  const bin = join(import.meta.dir, "..", "..", "bin", "sinter");
  const script = `"${bin}" merge ${config} ${out} --out-shard-size 20000 --json 2>&1 | true; exit \${PIPESTATUS[0]}`;
  const env = { ...process.env, SINTER_BUN: process.execPath };
  const { exitCode } = Bun.spawnSync(["bash", "-c", script], { cwd: work.folder, env });
  expect(exitCode).toBe(0);
  await expectWhole(out);
});

describe.skipIf(!existsSync("/dev/full"))("a full disk where messages go", () => {
  const bin = join(import.meta.dir, "..", "..", "bin", "sinter");
  function merged(redirection: string, ...args: string[]): [number, string, string] {
    const out = newFolder();
    const command = `"${bin}" merge ${config} ${out} --out-shard-size 20000 ${args.join(" ")} ${redirection}`;
    const env = { ...process.env, SINTER_BUN: process.execPath, NO_COLOR: "1" };
    const { exitCode, stderr } = Bun.spawnSync(["bash", "-c", command], { cwd: work.folder, env });
    return [exitCode, stderr.toString(), out];
  }

  test("of the summary: an error that says so, and the model is whole", async () => {
    for (const args of [[], ["--json"]]) {
      const [exitCode, stderr, out] = merged("> /dev/full", ...args);
      expect([exitCode, stderr]).toEqual([
        1,
        expect.stringMatching(/^error: cannot write to standard output: the disk is full/),
      ]);
      await expectWhole(out);
    }
  });

  test("of warnings and progress: the merge goes on", async () => {
    writeFileSync(work.path("warns.yml"), `${readFileSync(work.path(config), "utf8")}unknown_key: 1\n`);
    const out = newFolder();
    const command = `"${bin}" merge warns.yml ${out} 2> /dev/full`;
    const env = { ...process.env, SINTER_BUN: process.execPath };
    expect(Bun.spawnSync(["bash", "-c", command], { cwd: work.folder, env }).exitCode).toBe(0);
    expect(work.list(out)).toContain("model.safetensors");
  });

  test.each(["--help", "--version", "methods", `plan ${config}`])("of sinter %s: the same error", (command) => {
    const env = { ...process.env, SINTER_BUN: process.execPath, NO_COLOR: "1" };
    const { exitCode, stderr } = Bun.spawnSync(["bash", "-c", `"${bin}" ${command} > /dev/full`], {
      cwd: work.folder,
      env,
    });
    expect([exitCode, stderr.toString()]).toEqual([
      1,
      expect.stringMatching(/^error: cannot write to standard output: the disk is full/),
    ]);
  });
});

/** The superuser may do anything: without these capabilities, only what others may. */
const AS_OTHERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
const isRoot = process.getuid?.() === 0;
const canBeRefused = !isRoot || (Bun.which("setpriv") !== null && Bun.spawnSync([...AS_OTHERS, "true"]).success);

describe.skipIf(!canBeRefused)("no permission", () => {
  async function merged(out: string) {
    const bin = join(import.meta.dir, "..", "..", "bin", "sinter");
    const env = { ...process.env, SINTER_BUN: process.execPath, NO_COLOR: "1" };
    const command = [...(isRoot ? AS_OTHERS : []), bin, "merge", config, out, ...ARGS];
    const child = Bun.spawnSync(command, { cwd: work.folder, env });
    return [child.exitCode, child.stderr.toString()];
  }

  test("to write to the folder: refused with its name", async () => {
    const parent = work.path("no-permission");
    mkdirSync(parent, { mode: 0o555 });
    expect(await merged(join(parent, "out"))).toEqual([
      1,
      expect.stringMatching(/[Pp]ermission denied.*no-permission/s),
    ]);
    expect(readdirSync(parent)).toEqual([]);
  });

  test("to read an input: refused with its name, before anything is written", async () => {
    const input = work.path("b", "model.safetensors");
    chmodSync(input, 0o000);
    const out = newFolder();
    const refused = await merged(out);
    chmodSync(input, 0o644);
    expect(refused).toEqual([1, expect.stringMatching(/[Pp]ermission denied.*b\/model\.safetensors/s)]);
    expect(work.list(out)).toBeUndefined();
  });
});

/** A disk of one megabyte, where this process may mount one. */
function mountSmallDisk(): string | undefined {
  const folder = work.path("disk");
  mkdirSync(folder, { recursive: true });
  const { exitCode } = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=1100k", "none", folder], {
    stderr: "ignore",
  });
  return exitCode === 0 ? folder : undefined;
}

const disk = process.platform === "linux" && process.getuid?.() === 0 ? mountSmallDisk() : undefined;
afterAll(() => {
  if (disk !== undefined) Bun.spawnSync(["umount", disk]);
  work.remove();
});

describe.skipIf(disk === undefined)("a small disk", () => {
  const folder = disk ?? "";

  test("that cannot take the model is refused before anything is written", async () => {
    writeFileSync(join(folder, "filler"), Buffer.alloc(600_000));
    const { exitCode, stderr } = await work.merge(config, join(folder, "out"), ...ARGS);
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/the output takes .* but its disk has .* free/)]);
    expect(existsSync(join(folder, "out"))).toBe(false);
    rmSync(join(folder, "filler"));
  });

  test("read-only: refused with its name", async () => {
    expect(Bun.spawnSync(["mount", "-o", "remount,ro", folder]).exitCode).toBe(0);
    const { exitCode, stderr } = await work.merge(config, join(folder, "out"), ...ARGS);
    Bun.spawnSync(["mount", "-o", "remount,rw", folder]);
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/read-only/)]);
  });
});
