import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { native } from "../../src/native.ts";
import { Workplace } from "../end-to-end/programs.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { compileFaults } from "./library.ts";

/** Every command that writes a folder of weights, not only merges, under the same failures. */
const work = new Workplace();
afterAll(() => work.remove());
const library = work.path("faults.so");
const works = compileFaults(library);

const expert = (model: string) => `  - {source_model: ./${model}, positive_prompts: ["x"]}\n`;
const pair = "models:\n  - {model: ./a, parameters: {weight: 1}}\n  - {model: ./b, parameters: {weight: 2}}\n";
const MULTI = `name: first\nmerge_method: linear\n${pair}---\nmerge_method: slerp\nbase_model: first\nmodels: [{model: ./base}]\nparameters: {t: 0.4}\n`;
const moe = work.config(
  `base_model: ./base\ngate_mode: random\ndtype: bfloat16\nexperts:\n${expert("a")}${expert("b")}shared_experts:\n  - {source_model: ./a, positive_prompts: ["x"], residual_scale: 0.5}\n`,
);
const raw = work.config(`merge_method: linear\n${pair}`);
const multi = work.config(MULTI);

function withTokens(name: string, tokens: readonly string[]): void {
  writeTinyModel(work.path(name), { vocab: tokens.length + 2, seed: tokens.length });
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const tokenizer = { version: "1.0", added_tokens: [], model: { type: "BPE", vocab, merges: [] } };
  writeFileSync(work.path(name, "tokenizer.json"), JSON.stringify(tokenizer));
}

beforeAll(async () => {
  const base = writeTinyModel(work.path("base"), { seed: 1 });
  writeTinyModel(work.path("a"), { seed: 2, base });
  writeTinyModel(work.path("b"), { seed: 3, base });
  const letters = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `w${from + i}`);
  withTokens("original", letters(0, 32));
  withTokens("donor", letters(2, 37).toReversed());
  expect(await work.run("sinter", extract("adapter"))).toMatchObject({ exitCode: 0 });
});

const extract = (out: string) => ["lora", "extract", "a", "base", out, "-r", "4", "--no-write-model-card"];
/** What goes on is what an interrupted run has written; decompositions are made anew each time. */
const writers: { name: string; args: (out: string) => string[]; goesOn: boolean }[] = [
  { name: "moe", args: (out) => ["moe", moe, out], goesOn: true },
  { name: "merge --raw", args: (out) => ["merge", "--raw", raw, out], goesOn: true },
  { name: "multi", args: (out) => ["multi", multi, "--out-path", out, "-I", `${out}-between`], goesOn: true },
  { name: "lora extract", args: extract, goesOn: false },
  { name: "lora convert", args: (out) => ["lora", "convert", "base+adapter", out], goesOn: true },
  { name: "lora convert --rank", args: (out) => ["lora", "convert", "adapter", out, "--rank", "2"], goesOn: false },
  {
    name: "tokens transplant",
    args: (out) => ["tokens", "transplant", "original", "donor", out, "--k", "8"],
    goesOn: true,
  },
];

/** Names of all files in a folder and those within it, and their contents. */
function contents(folder: string): Map<string, string> {
  const at = work.path(folder);
  if (!existsSync(at)) return new Map();
  const files = readdirSync(at, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort();
  return new Map(paths.map((path) => [path.slice(at.length + 1), readFileSync(path, "latin1")]));
}

let turn = 0;
const undisturbed = new Map<string, Map<string, string>>();

/** Runs the same command again, which must end with what an undisturbed one writes. @returns what it said. */
async function again({ name, args }: (typeof writers)[0], folder: string): Promise<string> {
  const { exitCode, stderr } = await work.run("sinter", args(join(folder, "out")));
  expect([exitCode, exitCode === 0 ? "" : stderr]).toEqual([0, ""]);
  if (!undisturbed.has(name)) {
    expect(await work.run("sinter", args(join(`whole-${name}`, "out")))).toMatchObject({ exitCode: 0 });
    undisturbed.set(name, contents(`whole-${name}`));
  }
  const wanted = undisturbed.get(name) as Map<string, string>;
  const found = contents(folder);
  expect([...found.keys()]).toEqual([...wanted.keys()]);
  for (const [file, bytes] of wanted) expect([file, found.get(file) === bytes]).toEqual([file, true]);
  return stderr;
}

/** Nothing outside of scratch folders has a name by which a reader takes it for weights. */
function expectNoWeights(folder: string): void {
  const names = [...contents(folder).keys()].filter((name) => !name.startsWith(".out.sinter"));
  expect(names.filter((name) => !name.endsWith(".tmp"))).toEqual([]);
}

describe.skipIf(!works).each(writers)("$name", (writer) => {
  const fault = (what: string) => ({ LD_PRELOAD: library, SINTER_FAULT: what });

  test("whose disk becomes full says so, and the same command does it then", async () => {
    const folder = `run-${++turn}`;
    const failed = await work.run("sinter", writer.args(join(folder, "out")), fault("pwrite:ENOSPC:9"));
    expect([failed.exitCode, failed.stderr]).toEqual([1, expect.stringContaining("the disk became full")]);
    expectNoWeights(folder);
    const saysSo = failed.stderr.includes("the same command goes on from there");
    expect([saysSo, (await again(writer, folder)).includes("goes on from an interrupted run")]).toEqual([
      writer.goesOn,
      writer.goesOn,
    ]);
  });

  test("that is killed leaves no weights, and the same command does it then", async () => {
    for (const moment of ["pwrite:kill:1", "pwrite:kill:9", "fsync:kill:1"]) {
      const folder = `run-${++turn}`;
      const child = Bun.spawn(
        [join(import.meta.dir, "..", "..", "bin", "sinter"), ...writer.args(join(folder, "out"))],
        {
          cwd: work.folder,
          env: { ...process.env, SINTER_BUN: process.execPath, ...fault(moment) },
          stdio: ["ignore", "ignore", "ignore"],
        },
      );
      await child.exited;
      expect(child.signalCode).toBe("SIGKILL");
      expectNoWeights(folder);
      await again(writer, folder);
    }
    expect(readdirSync("/dev/shm").filter((name) => name.startsWith("sinter-difference"))).toEqual([]);
  });
});

const scratching = writers.filter(({ name }) => name.startsWith("tokens") || name.startsWith("lora extract"));
test.each(scratching)("$name leaves another process that works on the same output alone", async (writer) => {
  const folder = `run-${++turn}`;
  const scratch = work.path(folder, ".out.sinter");
  mkdirSync(scratch, { recursive: true });
  writeFileSync(join(scratch, "of the other"), "");
  const lock = native().lock(join(scratch, "lock"));
  const refused = await work.run("sinter", writer.args(join(folder, "out")));
  native().close(lock);
  expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining("is writing to the output folder")]);
  expect(existsSync(join(scratch, "of the other"))).toBe(true);
  await again(writer, folder);
});

test("a link in the place of the scratch folder is not followed", async () => {
  const folder = `run-${++turn}`;
  mkdirSync(work.path(folder, "precious"), { recursive: true });
  writeFileSync(work.path(folder, "precious", "file"), "");
  Bun.spawnSync(["ln", "-s", "precious", work.path(folder, ".out.sinter")]);
  expect(await work.run("sinter", extract(join(folder, "out")))).toMatchObject({ exitCode: 0 });
  expect(work.list(join(folder, "precious"))).toEqual(["file"]);
});

test("an adapter takes the place of one in the other format, which loaders would prefer", async () => {
  const out = join(`run-${++turn}`, "out");
  expect(await work.run("sinter", extract(out))).toMatchObject({ exitCode: 0 });
  expect(await work.run("sinter", [...extract(out), "--force", "--no-safe-serialization"])).toMatchObject({
    exitCode: 0,
  });
  expect(work.list(out)).toEqual(["adapter_config.json", "adapter_model.bin", "sinter_manifest.json"]);
});
