import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Report } from "../../src/errors.ts";
import { readTokenizer } from "../../src/tokenizer/read.ts";
import { sentencePiece } from "../tokenizer/sentencepiece-file.ts";
import { mutated, mutatedJson } from "./mutate.ts";

/** Of one folder. A machine that is busy with other things gets there too; what hangs does not. */
const MAX_MILLISECONDS = 60_000;

const root = mkdtempSync(join(tmpdir(), "sinter-legacy-"));
afterAll(() => rmSync(root, { recursive: true }));

type Files = Readonly<Record<string, Uint8Array | string>>;

const pieces = sentencePiece(
  [
    ["<unk>", 0, 2],
    ["<s>", 0, 3],
    ["</s>", 0, 3],
    ["▁", -1],
    ["a", -2],
    ["b", -3],
    ["ab", -4],
    ["▁ab", -5],
    ["<0x0A>", 0, 6],
  ],
  {
    type: 2,
    byteFallback: true,
  },
);
const CONFIG = JSON.stringify({
  tokenizer_class: "LlamaTokenizer",
  bos_token: "<s>",
  eos_token: { content: "</s>", lstrip: false },
  extra_ids: 3,
  added_tokens_decoder: { "9": { content: "<x>", special: true } },
});
const folders: Record<string, Files> = {
  sentencepiece: { "tokenizer.model": pieces, "tokenizer_config.json": CONFIG, "added_tokens.json": '{"<y>": 10}' },
  t5: {
    "tokenizer.model": sentencePiece([
      ["<unk>", 0, 2],
      ["a", -2],
      ["ab", -3],
    ]),
    "tokenizer_config.json": CONFIG.replace("LlamaTokenizer", "T5Tokenizer"),
  },
  "byte-level": {
    "vocab.json": '{"a":0,"b":1,"ab":2}',
    "merges.txt": "#version: 0.2\na b\n",
    "special_tokens_map.json": '{"eos_token":"a"}',
  },
  "word-piece": {
    "vocab.txt": "[UNK]\n[CLS]\na\n##b\n",
    "tokenizer_config.json": '{"do_lower_case": true, "tokenizer_class": "BertTokenizer"}',
  },
};

/** Reads a folder's tokenizer. @returns whether it can be used. @throws where it cannot, and nothing says why. */
function isRead(files: Files): boolean {
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(root, name), bytes);
  return isReadFrom(Object.keys(files));
}

function isReadFrom(files: readonly string[]): boolean {
  const report = new Report();
  const start = performance.now();
  const tokenizer = readTokenizer({ name: "x", dir: root, files }, report);
  expect(performance.now() - start).toBeLessThan(MAX_MILLISECONDS);
  if (tokenizer === undefined) expect(report.errors.length).toBeGreaterThan(0);
  return tokenizer !== undefined && report.errors.length === 0;
}

const LIMITS = { numRuns: 800, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false };

describe.each(Object.keys(folders))(
  "whatever the files of a tokenizer of another time hold (%s), it is read, or refused by name",
  (kind) => {
    const files = folders[kind] as Files;

    test("the plain one is read", () => {
      expect(isRead(files)).toBe(true);
    });

    test.each(Object.keys(files))("%s with random changes", (name) => {
      const bytes = typeof files[name] === "string" ? Buffer.from(files[name]) : (files[name] as Uint8Array);
      fc.assert(
        fc.property(mutated([bytes]), (changed) => {
          isRead({ ...files, [name]: changed });
        }),
        LIMITS,
      );
    });

    test.each(Object.keys(files).filter((name) => name.endsWith(".json")))("%s with values changed", (name) => {
      fc.assert(
        fc.property(mutatedJson([Buffer.from(files[name] as string)]), (changed) => {
          isRead({ ...files, [name]: changed });
        }),
        LIMITS,
      );
    });

    test.each(Object.keys(files))("%s of gigabytes is refused before it takes memory", (name) => {
      isRead(files);
      truncateSync(join(root, name), 5e9);
      const before = process.memoryUsage().rss;
      expect(isReadFrom(Object.keys(files))).toBe(false);
      expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
      truncateSync(join(root, name), 0);
    });
  },
);

test("chat_template.jinja and tokenizer.json of gigabytes are refused, too", () => {
  for (const name of ["chat_template.jinja", "tokenizer.json"]) {
    const others = folders["byte-level"] as Files;
    isRead(others);
    writeFileSync(join(root, name), "");
    truncateSync(join(root, name), 5e9);
    expect(isReadFrom([...Object.keys(others), name])).toBe(false);
    rmSync(join(root, name));
  }
});

test("sizes that a few bytes ask for are refused by name", () => {
  const t5 = folders.t5 as Files;
  for (const count of ["1000000000000", "-1", "1.5", "1e400"]) {
    const config = `{"tokenizer_class": "T5Tokenizer", "extra_ids": ${count}}`;
    expect(isRead({ ...t5, "tokenizer_config.json": config })).toBe(false);
  }
  const long = sentencePiece(
    [
      ["<unk>", 0, 2],
      ["a".repeat(100_000), -1],
      ["a".repeat(99_999), -2],
    ],
    { type: 2 },
  );
  expect(isRead({ "tokenizer.model": long })).toBe(false);
});
