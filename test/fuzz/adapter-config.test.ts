import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Report, SinterError } from "../../src/errors.ts";
import { openReference } from "../../src/lora/open.ts";
import { parseModelRef } from "../../src/model/ref.ts";
import { writeSafetensors } from "../support/safetensors.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { mutated, mutatedJson } from "./mutate.ts";

/** Of one file. A machine that is busy with other things gets there too; what hangs does not. */
const MAX_MILLISECONDS = 60_000;

const CORPUS = join(import.meta.dir, "corpus", "adapter");
const names = readdirSync(CORPUS);
const corpus = names.map((name) => readFileSync(join(CORPUS, name)));
const root = mkdtempSync(join(tmpdir(), "sinter-adapter-"));
afterAll(() => rmSync(root, { recursive: true }));
beforeAll(() => {
  writeTinyModel(join(root, "base"));
  writeTinyModel(join(root, "adapter"));
  rmSync(join(root, "adapter", "config.json"));
  rmSync(join(root, "adapter", "model.safetensors"));
  const factor = (shape: number[]) => ({ dtype: "F32" as const, shape, bytes: new Uint8Array(16 * 4 * 4) });
  const at = "base_model.model.model.layers.0.self_attn.q_proj";
  const factors = new Map([
    [`${at}.lora_A.weight`, factor([4, 16])],
    [`${at}.lora_B.weight`, factor([16, 4])],
  ]);
  writeSafetensors(join(root, "adapter", "adapter_model.safetensors"), factors);
});

/** Opens the model with another adapter_config.json. @returns whether it is refused. @throws where nothing says why. */
function isRefused(bytes: Uint8Array | string): boolean {
  return reasons(bytes) !== undefined;
}

/** @returns the codes of what is wrong, undefined where the adapter is applied. */
function reasons(bytes: Uint8Array | string): string[] | undefined {
  writeFileSync(join(root, "adapter", "adapter_config.json"), bytes);
  const ref = parseModelRef(`${root}/base+${root}/adapter`);
  if (typeof ref === "string") throw new Error(ref);
  const report = new Report();
  const start = performance.now();
  try {
    const model = openReference({ ref }, { cacheDir: root }, report);
    expect(model === undefined).toBe(report.errors.length > 0);
    return model === undefined ? report.errors.map(({ code }) => code) : undefined;
  } catch (error) {
    if (!(error instanceof SinterError)) throw error;
    return error.problems.map(({ code }) => code);
  } finally {
    expect(performance.now() - start).toBeLessThan(MAX_MILLISECONDS);
  }
}

describe("whatever an adapter_config.json holds, the adapter is applied, or refused by name", () => {
  test("the plain one is applied, one that asks for other arithmetic is not", () => {
    expect(isRefused(corpus[names.indexOf("plain.json")] as Buffer)).toBe(false);
    expect(isRefused(corpus[names.indexOf("variants.json")] as Buffer)).toBe(true);
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
    const plain = JSON.parse(String(corpus[names.indexOf("plain.json")])) as Record<string, unknown>;
    const property = fc.property(
      fc.constantFrom(...Object.keys(plain)),
      fc.jsonValue({ maxDepth: 2 }),
      (place, value) => {
        isRefused(JSON.stringify({ ...plain, [place]: value }));
      },
    );
    // Not every value can be made a text of.
    const examples: [string, fc.JsonValue][] = [["peft_type", { toString: false }]];
    fc.assert(property, { numRuns: 500, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false, examples });
  });

  test("regular expressions that are made to take long: refused after seconds, whatever they are for", () => {
    const plain = JSON.parse(String(corpus[names.indexOf("plain.json")]));
    const endless = "(.*)*(.*)*(.*)*(.*)*x";
    const patterns = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`${endless}${i}`, 4]));
    expect(reasons(JSON.stringify({ ...plain, rank_pattern: patterns }))).toEqual(["adapter-pattern-slow"]);
  });

  test("one nested without end", () => {
    expect(isRefused("[".repeat(1_000_000))).toBe(true);
    expect(isRefused(`{"peft_type":"LORA","rank_pattern":${'{"a":'.repeat(100_000)}1${"}".repeat(100_001)}`)).toBe(
      true,
    );
  });
});
