import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Report, SinterError } from "../../src/errors.ts";
import { checkModel } from "../../src/run/verify-model.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { mutated, mutatedJson } from "./mutate.ts";

/** Of one file. A machine that is busy with other things gets there too; what hangs does not. */
const MAX_MILLISECONDS = 60_000;

const CORPUS = join(import.meta.dir, "corpus", "config");
const corpus = readdirSync(CORPUS).map((name) => readFileSync(join(CORPUS, name)));
const root = mkdtempSync(join(tmpdir(), "sinter-config-"));
afterAll(() => rmSync(root, { recursive: true }));
beforeAll(() => {
  writeTinyModel(root);
});

/** Opens the model with another config.json. @returns whether anything is wrong. @throws where that is not said. */
function isRefused(bytes: Uint8Array | string): boolean {
  writeFileSync(join(root, "config.json"), bytes);
  const report = new Report();
  const start = performance.now();
  try {
    const facts = checkModel(root, undefined, report);
    expect(facts !== undefined || report.errors.length > 0).toBe(true);
  } catch (error) {
    if (!(error instanceof SinterError)) throw error;
    return true;
  }
  expect(performance.now() - start).toBeLessThan(MAX_MILLISECONDS);
  return report.errors.length > 0;
}

describe("whatever a config.json holds, the model is understood, or refused by name", () => {
  test("its own is not refused", () => {
    const own = readdirSync(CORPUS).indexOf("qwen2.json");
    expect(isRefused(corpus[own] as Buffer)).toBe(false);
  });

  test("files of the corpus", () => {
    for (const bytes of corpus) isRefused(bytes);
  });

  test("files of the corpus with random changes", () => {
    const property = fc.property(mutated(corpus), (bytes) => {
      isRefused(bytes);
    });
    fc.assert(property, { numRuns: 1000, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false });
  });

  test("files of the corpus with some of their values changed", () => {
    const property = fc.property(mutatedJson(corpus), (text) => {
      isRefused(text);
    });
    fc.assert(property, { numRuns: 1500, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false });
  });

  test("values of every kind in the places that are read", () => {
    const places = [
      "architectures",
      "model_type",
      "num_hidden_layers",
      "vocab_size",
      "tie_word_embeddings",
      "text_config",
    ];
    const property = fc.property(fc.constantFrom(...places), fc.jsonValue({ maxDepth: 3 }), (place, value) => {
      const config = JSON.parse(String(corpus[readdirSync(CORPUS).indexOf("qwen2.json")]));
      isRefused(JSON.stringify({ ...config, [place]: value }));
    });
    fc.assert(property, { numRuns: 500, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false });
  });

  test("one nested without end", () => {
    expect(isRefused("[".repeat(1_000_000))).toBe(true);
    expect(isRefused(`{"text_config":${'{"a":'.repeat(300_000)}1${"}".repeat(300_001)}`)).toBe(true);
  });
});
