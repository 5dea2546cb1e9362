import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findMissing } from "../../src/model/missing.ts";

const root = mkdtempSync(join(realpathSync(tmpdir()), "sinter-missing-"));
const cache = join(root, "cache");
const commit = "c".repeat(40);
const repository = join(cache, "models--org--tiny");

beforeEach(() => {
  rmSync(cache, { recursive: true, force: true });
  write(join(repository, "refs", "main"), commit);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function hold(...files: string[]): void {
  for (const file of files) write(join(repository, "snapshots", commit, file), "{}");
}

/** `usable`: only the tokenizer is in doubt. */
function state(path = "org/tiny", revision?: string): "whole" | "usable" | "missing" {
  const missing = findMissing({ path: { path, revision } }, cache);
  return missing === undefined ? "whole" : missing.isUsable ? "usable" : "missing";
}

describe("a snapshot is whole", () => {
  test.each([
    ["with one file of weights", ["model.safetensors", "config.json", "tokenizer.json"]],
    ["with PyTorch weights", ["pytorch_model.bin", "config.json", "vocab.txt"]],
    [
      "with all numbered files",
      ["a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors", "config.json", "x.model"],
    ],
    ["as an adapter", ["adapter_config.json", "adapter_model.safetensors"]],
  ])("%s", (_, files) => {
    hold(...files);
    expect(state()).toBe("whole");
  });

  test("with all files that its index names", () => {
    hold("config.json", "tokenizer.json", "a.safetensors");
    const index = join(repository, "snapshots", commit, "model.safetensors.index.json");
    writeFileSync(index, JSON.stringify({ weight_map: { x: "a.safetensors", y: "b.safetensors" } }));
    expect(state()).toBe("missing");
    hold("b.safetensors");
    expect(state()).toBe("whole");
  });

  test("when it is known that there is no tokenizer", () => {
    hold("config.json", "model.safetensors");
    expect(state()).toBe("usable");
    write(join(repository, ".no_exist", commit, "tokenizer_config.json"), "");
    expect(state()).toBe("whole");
  });
});

describe("a snapshot is not whole", () => {
  test.each([
    ["with a configuration only", ["config.json", "tokenizer.json"]],
    ["without a configuration", ["model.safetensors", "tokenizer.json"]],
    [
      "with a number missing",
      ["a-00001-of-00003.safetensors", "a-00003-of-00003.safetensors", "config.json", "x.model"],
    ],
  ])("%s", (_, files) => {
    hold(...files);
    expect(state()).toBe("missing");
  });

  test("when a link leads nowhere", () => {
    hold("config.json", "tokenizer.json");
    symlinkSync("../../blobs/gone", join(repository, "snapshots", commit, "model.safetensors"));
    expect(state()).toBe("missing");
  });

  test("when it is of another revision", () => {
    hold("config.json", "model.safetensors", "tokenizer.json");
    expect(state("org/tiny", "v2")).toBe("missing");
    expect(state("org/tiny", commit)).toBe("whole");
    expect(state("hf://org/tiny")).toBe("whole");
  });
});

test.each(["./org/tiny", "/abs/path", "a/b/c", "../tiny", root])("%s is nothing that the Hub could have", (path) => {
  expect(state(path)).toBe("whole");
});

test.each(["", "..", "a/../b", "a\nb"])("the revision %j is nothing that the Hub could have", (revision) => {
  expect(state("org/tiny", revision)).toBe("whole");
});
