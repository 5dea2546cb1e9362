import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type { FamilyDefinition } from "../../src/architecture/definition.ts";
import { expandDefinition } from "../../src/architecture/expand.ts";
import { weightSpecs } from "../../src/architecture/resolve.ts";
import { readDefinition } from "../../src/architecture/user-families.ts";
import { Report } from "../../src/errors.ts";
import { storedModel } from "../architecture/stored-model.ts";
import { mutated, mutatedJson } from "./mutate.ts";

const CORPUS = join(import.meta.dir, "corpus", "definition");
const corpus = readdirSync(CORPUS).map((name) => readFileSync(join(CORPUS, name)));
const root = mkdtempSync(join(tmpdir(), "sinter-definition-"));
afterAll(() => rmSync(root, { recursive: true }));

const config = {
  architectures: ["MadeUpForCausalLM"],
  text: { layers: 3, experts: 4, types: ["a", "b", "a"], first: 1 },
  num_hidden_layers: 2,
};
const stored = ["model.x.0.a", "model.x.1.a", "x.0.experts.1.up", "x.0.packed", "embed"];

/** Reads a definition and expands it. @throws where that goes wrong without a word, or takes too many weights. */
function read(bytes: Uint8Array | string): FamilyDefinition | undefined {
  const path = join(root, "made-up.json");
  writeFileSync(path, bytes);
  const report = new Report();
  const definition = readDefinition(path, report);
  expect(definition === undefined).toBe(report.errors.length > 0);
  if (definition === undefined) return undefined;
  const architecture = expandDefinition("made-up", definition, storedModel(config, stored), report);
  expect(architecture === undefined).toBe(report.errors.length > 0);
  if (architecture !== undefined) expect(weightSpecs(architecture).length).toBeLessThanOrEqual(500_000);
  return definition;
}

describe("whatever a definition holds, it expands to weights, or is refused by name", () => {
  test("definitions of the corpus are read or refused", () => {
    for (const bytes of corpus) read(bytes);
  });

  test("definitions of the corpus with random changes", () => {
    fc.assert(
      fc.property(mutated(corpus), (bytes) => {
        read(bytes);
      }),
      { numRuns: 2000, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false },
    );
  });

  test("files of the corpus with some of their values changed", () => {
    const property = fc.property(mutatedJson(corpus), (text) => {
      read(text);
    });
    fc.assert(property, { numRuns: 1500, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false });
  });

  test("one nested without end", () => {
    expect(read("[".repeat(1_000_000))).toBeUndefined();
    expect(read(`{"modules":${'{"a":'.repeat(300_000)}1${"}".repeat(300_001)}`)).toBeUndefined();
  });
});
