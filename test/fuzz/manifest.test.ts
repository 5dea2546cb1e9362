import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Report, SinterError } from "../../src/errors.ts";
import { replan, whyNotReplanned } from "../../src/recipes/replan.ts";
import { MANIFEST_NAME, readManifest } from "../../src/run/manifest.ts";
import { checkPlan, checkTensors, openStored } from "../../src/run/verify.ts";
import { checkFiles } from "../../src/run/written-files.ts";
import { carryOut, type Merge, planOf, writeMerges } from "../durability/merges.ts";
import { mutated, mutatedJson } from "./mutate.ts";

const root = mkdtempSync(join(tmpdir(), "sinter-manifest-"));
const folder = join(root, "merged");
const path = join(folder, MANIFEST_NAME);
afterAll(() => rmSync(root, { recursive: true }));
let manifest = Buffer.alloc(0);
beforeAll(async () => {
  const [merge] = writeMerges(root, { vocab: 41, layers: 1 });
  await carryOut(planOf(merge as Merge), folder, { sync: false });
  manifest = readFileSync(path);
  cpSync(path, join(root, "kept.json"));
});

/** Verifies the folder with another manifest, but for the tensors' bytes. @returns what is wrong with it, by code. */
function verified(bytes: Uint8Array | string): string[] {
  writeFileSync(path, bytes);
  const report = new Report();
  const codes = () => report.errors.map(({ code }) => code);
  try {
    const read = readManifest(folder, report);
    if (read === undefined) {
      expect(report.errors.length).toBeGreaterThan(0);
      return codes();
    }
    const stored = openStored(folder, read, report);
    if (stored === undefined) return codes();
    checkTensors(stored, read, report);
    const told = checkFiles(folder, read.files, stored.tensors.values(), report);
    if (read.recipe === undefined || whyNotReplanned(read.recipe) !== undefined) return codes();
    const places = { cacheDir: root, architectures: undefined, intermediateDir: undefined };
    checkPlan(replan(read.recipe, places, new Report()), folder, read, told, report);
    return codes();
  } catch (error) {
    if (!(error instanceof SinterError)) throw error;
    return error.problems.map(({ code }) => code);
  }
}

const LIMITS = { numRuns: 600, interruptAfterTimeLimit: 4000, markInterruptAsFailure: false };

describe("whatever a manifest holds, a folder is verified by it, or it is refused by name", () => {
  test("its own", () => {
    expect(verified(manifest)).toEqual([]);
  });

  test("random changes", () => {
    const property = fc.property(fc.nat(), (seed) => {
      for (const bytes of fc.sample(mutated([manifest]), { numRuns: 1, seed })) verified(bytes);
    });
    fc.assert(property, LIMITS);
  });

  test("values changed", () => {
    const property = fc.property(fc.nat(), (seed) => {
      for (const text of fc.sample(mutatedJson([manifest]), { numRuns: 1, seed })) verified(text);
    });
    fc.assert(property, LIMITS);
  });

  test("one nested without end, and one that names files elsewhere", () => {
    expect(verified(`{"tensors":${'{"a":'.repeat(300_000)}1${"}".repeat(300_001)}`)).toEqual(["invalid-json"]);
    const json = JSON.parse(manifest.toString());
    for (const name of ["/etc/passwd", "../kept.json", "x/../../kept.json"])
      json.files[name] = { bytes: 1, sha256: "x" };
    expect(verified(JSON.stringify(json))).toEqual([]);
  });
});
