import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { readMergeConfig } from "../../src/config/read.ts";
import { Report, SinterError } from "../../src/errors.ts";
import { mutated } from "./mutate.ts";

/** Of one file. A machine that is busy with other things gets there too; what hangs does not. */
const MAX_MILLISECONDS = 60_000;

const CORPUS = join(import.meta.dir, "corpus", "yaml");
const EXAMPLES = join(import.meta.dir, "..", "..", "examples");
const corpus = [CORPUS, EXAMPLES].flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".yml"))
    .map((name) => readFileSync(join(folder, name))),
);

/** Reads a configuration. @returns whether it is one. @throws where it is not and nothing says why. */
function isRead(text: string): boolean {
  const start = performance.now();
  try {
    readMergeConfig(text, "x.yml", { strict: false }, new Report());
    return true;
  } catch (error) {
    if (!(error instanceof SinterError)) throw error;
    expect(error.problems.length).toBeGreaterThan(0);
    return false;
  } finally {
    expect(performance.now() - start).toBeLessThan(MAX_MILLISECONDS);
  }
}

describe("whatever a configuration holds, it is read, or refused by name", () => {
  test("those of the examples are read", () => {
    expect(isRead(readFileSync(join(EXAMPLES, "ties.yml"), "utf8"))).toBe(true);
  });

  test("files of the corpus", () => {
    for (const bytes of corpus) isRead(bytes.toString());
  });

  test("files of the corpus with random changes", () => {
    const property = fc.property(mutated(corpus), (bytes) => {
      isRead(Buffer.from(bytes).toString());
    });
    fc.assert(property, { numRuns: 2000, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false });
  });

  test("one with millions of values: refused before they take memory", () => {
    const before = process.memoryUsage().rss;
    for (const list of [
      `[${"1,".repeat(3_000_000)}1]`,
      `[${"[],".repeat(2_000_000)}1]`,
      `\n${"- 1\n".repeat(1_000_000)}`,
    ]) {
      expect(isRead(`merge_method: linear\nmodels: ${list}`)).toBe(false);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(800e6);
  });

  test("one nested without end", () => {
    expect(isRead("[".repeat(100_000))).toBe(false);
    expect(isRead(`merge_method: ${"{a: ".repeat(50_000)}1${"}".repeat(50_000)}`)).toBe(false);
    expect(isRead("- ".repeat(50_000))).toBe(false);
  });
});
