import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve, sep } from "node:path";
import fc from "fast-check";
import { Report } from "../../src/errors.ts";
import { readIndex } from "../../src/model/index-file.ts";
import { mutated, mutatedJson } from "./mutate.ts";

const CORPUS = join(import.meta.dir, "corpus", "index");
const corpus = readdirSync(CORPUS).map((name) => readFileSync(join(CORPUS, name)));
const root = mkdtempSync(join(tmpdir(), "sinter-index-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Reads an index. @throws where one of its files lies outside the folder, or nothing says why there are none. */
function read(bytes: Uint8Array | string): Map<string, string> | undefined {
  const path = join(root, "model.safetensors.index.json");
  writeFileSync(path, bytes);
  const report = new Report();
  const placed = readIndex(path, report);
  expect(placed === undefined).toBe(report.errors.length > 0);
  for (const shard of placed?.values() ?? []) expect(resolve(root, shard)).toStartWith(root + sep);
  return placed;
}

describe("whatever an index holds, its files lie in the folder, or it is refused by name", () => {
  test("indexes of the corpus with random changes", () => {
    const changed = mutated(corpus);
    fc.assert(
      fc.property(changed, (bytes) => {
        read(bytes);
      }),
      { numRuns: 1000, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false },
    );
  });

  test("files of the corpus with some of their values changed", () => {
    const property = fc.property(mutatedJson(corpus), (text) => {
      read(text);
    });
    fc.assert(property, { numRuns: 1500, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false });
  });

  test("paths made of hostile pieces", () => {
    const piece = fc.constantFrom("..", ".", "/", "//", "a", "\u0000", "\\", "~", "%2e%2e", "a.safetensors", "");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        read(JSON.stringify({ weight_map: { x: pieces.join("") } }));
      }),
      { numRuns: 1000, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false },
    );
  });

  test("one nested without end", () => {
    expect(read("[".repeat(1_000_000))).toBeUndefined();
    expect(read(`{"weight_map":${'{"a":'.repeat(500_000)}1${"}".repeat(500_001)}`)).toBeUndefined();
  });
});
