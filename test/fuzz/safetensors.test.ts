import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { Report } from "../../src/errors.ts";
import { DTYPE_BYTES } from "../../src/model/dtype.ts";
import { parseSafetensorsHeader } from "../../src/model/safetensors.ts";
import { elementCount } from "../../src/model/types.ts";
import { mutated, mutatedJson } from "./mutate.ts";

const CORPUS = join(import.meta.dir, "corpus", "safetensors");
const corpus = readdirSync(CORPUS).map((name) => readFileSync(join(CORPUS, name)));

/** Reads a header. @returns the codes of what is wrong. @throws where tensors lie outside the file or on one another. */
function read(bytes: Uint8Array): string[] {
  const report = new Report();
  const header = parseSafetensorsHeader(bytes, bytes.length, "x.safetensors", report);
  expect(header === undefined).toBe(report.errors.length > 0);
  let end = 0;
  for (const { offset, dtype, shape } of header?.tensors.values() ?? []) {
    if (offset < end) throw new Error(`a tensor at ${offset} begins before the end of another, ${end}`);
    end = offset + elementCount(shape) * DTYPE_BYTES[dtype];
    if (end > bytes.length) throw new Error(`a tensor ends at ${end}, beyond the file's end, ${bytes.length}`);
  }
  return report.errors.map(({ code }) => code);
}

function file(json: string, dataBytes = 0): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(json)));
  return Buffer.concat([length, Buffer.from(json), Buffer.alloc(dataBytes)]);
}

describe("whatever a safetensors file begins with, its tensors lie in it, or it is refused by name", () => {
  test("only the plain file of the corpus is read", () => {
    const verdicts = readdirSync(CORPUS).map((name, i) => [name, read(corpus[i] as Buffer).length === 0]);
    expect(verdicts.filter(([, good]) => good)).toEqual([["plain.safetensors", true]]);
  });

  test("files of the corpus with random changes", () => {
    const property = fc.property(mutated(corpus), (bytes) => {
      read(bytes);
    });
    fc.assert(property, { numRuns: 5000, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false });
  });

  test("headers of the corpus with some of their values changed", () => {
    const headers = corpus.map((bytes) => bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE() & 0xffffffn)));
    const property = fc.property(mutatedJson(headers), fc.nat(64), (text, dataBytes) => {
      read(file(text, dataBytes));
    });
    fc.assert(property, { numRuns: 3000, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false });
  });

  test("one nested without end", () => {
    expect(read(file("[".repeat(1_000_000)))).not.toEqual([]);
    expect(read(file(`{"__metadata__":${'{"a":'.repeat(500_000)}1${"}".repeat(500_001)}`))).not.toEqual([]);
  });

  test("a header longer than the format allows", () => {
    const bytes = Buffer.alloc(16);
    bytes.writeBigUInt64LE(100_000_001n);
    const report = new Report();
    expect(parseSafetensorsHeader(bytes, 2 ** 40, "x", report)).toBeUndefined();
    expect(report.errors[0]?.code).toBe("safetensors-header-length");
  });

  test("a name longer than any model's", () => {
    const name = "a".repeat(4097);
    expect(read(file(`{"${name}":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1))).toEqual(["safetensors-name"]);
  });

  test("more tensors than any model has", () => {
    const entries = Array.from(
      { length: 1_000_001 },
      (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`,
    );
    expect(read(file(`{${entries.join(",")}}`))).toEqual(["safetensors-too-many"]);
  });
});
