import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Report, SinterError } from "../../src/errors.ts";
import { readTokenizer } from "../../src/tokenizer/read.ts";
import type { Tokenizer } from "../../src/tokenizer/types.ts";
import { unionTokenizer } from "../../src/tokenizer/union.ts";
import { mutated, mutatedJson } from "./mutate.ts";

const CORPUS = join(import.meta.dir, "corpus", "tokenizer");
const corpus = readdirSync(CORPUS).map((name) => readFileSync(join(CORPUS, name)));
const root = mkdtempSync(join(tmpdir(), "sinter-tokenizer-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Reads a tokenizer. @throws where there is none and nothing says why. */
function read(bytes: Uint8Array | string): Tokenizer | undefined {
  writeFileSync(join(root, "tokenizer.json"), bytes);
  const report = new Report();
  const tokenizer = readTokenizer({ name: "x", dir: root, files: ["tokenizer.json"] }, report);
  expect(tokenizer === undefined).toBe(report.errors.length > 0);
  for (const id of tokenizer?.ids.values() ?? []) expect(Number.isSafeInteger(id) && id >= 0).toBe(true);
  return tokenizer;
}

describe("whatever a tokenizer.json holds, it is read, or refused by name", () => {
  const plain = read(corpus[readdirSync(CORPUS).indexOf("bpe.json")] as Buffer);

  test("the plain one is read", () => {
    expect(plain?.ids.get("abc")).toBe(4);
  });

  test("files of the corpus with random changes, and their unions with a plain one", () => {
    const property = fc.property(mutated(corpus), (bytes) => {
      const tokenizer = read(bytes);
      if (tokenizer === undefined || plain === undefined) return;
      try {
        unionTokenizer(plain, [tokenizer], new Report());
      } catch (error) {
        if (!(error instanceof SinterError)) throw error;
      }
    });
    fc.assert(property, { numRuns: 2000, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false });
  });

  test("files of the corpus with some of their values changed", () => {
    const property = fc.property(mutatedJson(corpus), (text) => {
      read(text);
    });
    fc.assert(property, { numRuns: 1500, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false });
  });

  test("one nested without end", () => {
    expect(read("[".repeat(1_000_000))).toBeUndefined();
    expect(read(`{"model":${'{"a":'.repeat(300_000)}1${"}".repeat(300_001)}`)).toBeUndefined();
  });
});
