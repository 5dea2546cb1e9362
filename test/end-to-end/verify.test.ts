import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomNumbers } from "../durability/merges.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";

const SEED = Number(process.env.SINTER_SEED ?? 1);
/** People write these anew: they are no part of what is verified. */
const PROSE = ["README.md", "mergekit_config.yml"];

/** What is said of a manifest that somebody changed, where that does no harm. */
const EDITED = "sinter_manifest.json itself was changed since";

const work = new Workplace();
afterAll(() => work.remove());

beforeAll(async () => {
  const base = writeTinyModel(work.path("base"));
  writeTinyModel(work.path("a"), { seed: 2, base });
  writeTinyModel(work.path("b"), { seed: 3, base });
  const config = work.config(
    "merge_method: linear\nmodels:\n  - {model: ./a, parameters: {weight: 1}}\n  - {model: ./b, parameters: {weight: 3}}\n",
  );
  for (const [out, ...options] of [
    ["one", "--out-shard-size", "5B"],
    ["shards", "--out-shard-size", "4000"],
    ["torch", "--out-shard-size", "6000", "--no-safe-serialization"],
  ] as const) {
    expect(await work.merge(config, out, ...options)).toMatchObject({ exitCode: 0 });
  }
  expect(await work.run("sinter", ["lora", "extract", "a", "base", "adapter", "-r", "3"])).toMatchObject({
    exitCode: 0,
  });
});

const verify = (folder: string) => work.run("sinter", ["verify", folder, "--quiet"]);

describe.each(["one", "shards", "torch", "adapter"])("a folder whose inputs are elsewhere (%s)", (folder) => {
  beforeAll(() => renameSync(work.path("a"), work.path("elsewhere")));
  afterAll(() => renameSync(work.path("elsewhere"), work.path("a")));

  test("is as it was written", async () => {
    expect(await verify(folder)).toMatchObject({ exitCode: 0, stderr: "" });
  });

  test("one bit that flips anywhere but in prose is found", async () => {
    const random = randomNumbers(SEED + folder.length);
    for (const name of readdirSync(work.path(folder))) {
      if (PROSE.includes(name)) continue;
      const path = work.path(folder, name);
      const bytes = readFileSync(path);
      const header = name.endsWith(".safetensors") ? 8 + Number(bytes.readBigUInt64LE(0)) : bytes.length;
      // Of a header more than of what is behind it, which checksums cover evenly; and the ends.
      const places = [random() * header, random() * header, random() * bytes.length, bytes.length - 1].map(Math.floor);
      for (const at of places) {
        const bit = Math.floor(8 * random());
        const flipped = Buffer.from(bytes);
        flipped[at] = (flipped[at] as number) ^ (1 << bit);
        writeFileSync(path, flipped);
        const { exitCode, stderr, stdout } = await work.run("sinter", ["verify", folder]);
        const found = exitCode === 1 ? /^error: /m.test(stderr) : stdout.includes(EDITED);
        expect([name, at, bit, found]).toEqual([name, at, bit, true]);
        if (name !== "sinter_manifest.json") expect(exitCode).toBe(1);
        expect(stderr).not.toContain("a fault in Sinter");
      }
      writeFileSync(path, bytes);
    }
    expect(await verify(folder)).toMatchObject({ exitCode: 0, stderr: "" });
  }, 60_000);

  test("a file that is missing is found, and prose may change", async () => {
    for (const name of PROSE.filter((one) => work.list(folder)?.includes(one))) {
      writeFileSync(work.path(folder, name), "other words");
    }
    expect(await verify(folder)).toMatchObject({ exitCode: 0, stderr: "" });
    const [gone = ""] = ["tokenizer.json", "adapter_config.json"].filter((one) => work.list(folder)?.includes(one));
    const bytes = readFileSync(work.path(folder, gone));
    rmSync(work.path(folder, gone));
    const { exitCode, stderr } = await verify(folder);
    writeFileSync(work.path(folder, gone), bytes);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(`${gone} is missing`)]);
  });
});

test("what a manifest names outside of its folder is not looked at", async () => {
  const path = join(work.path("one"), "sinter_manifest.json");
  const manifest = JSON.parse(readFileSync(path, "utf8"));
  manifest.files["../../../../etc/passwd"] = { bytes: 1, sha256: "x" };
  writeFileSync(path, JSON.stringify(manifest));
  const { stdout, stderr } = await work.run("sinter", ["verify", "one"]);
  expect([stderr, stdout]).toEqual(["", expect.stringContaining(EDITED)]);
});
