import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { Report } from "../../src/errors.ts";
import { DTYPE_BYTES } from "../../src/model/dtype.ts";
import { FormatError } from "../../src/model/format-error.ts";
import { readPickle } from "../../src/model/torch/pickle-machine.ts";
import { OP } from "../../src/model/torch/pickle-opcodes.ts";
import { parseTorchFile } from "../../src/model/torch/torch-file.ts";
import { elementCount } from "../../src/model/types.ts";
import { archive, dict, floats, legacy, memoryFile, op, pickle, tensor, zip } from "../model/torch/written.ts";
import { mutated } from "./mutate.ts";

/** Of one file. A machine that is busy with other things gets there too; what hangs does not. */
const MAX_MILLISECONDS = 60_000;
const FUZZ = { numRuns: 5000, interruptAfterTimeLimit: 4000, markInterruptAsFailure: false };

const hostile = readFolder(join(import.meta.dir, "corpus", "torch"));
const corpus = [...hostile, ...readFolder(join(import.meta.dir, "..", "model", "torch", "files"))];

function readFolder(dir: string): [name: string, bytes: Buffer][] {
  return readdirSync(dir)
    .sort()
    .map((name) => [name, readFileSync(join(dir, name))]);
}

/** Reads a file. @returns the codes of what is wrong with it. @throws where it is read wrongly, or too long. */
function read(bytes: Uint8Array): string[] {
  const file = memoryFile(bytes);
  const report = new Report();
  const start = performance.now();
  const codes = readOrRefuse(() => {
    const found = parseTorchFile(file, report);
    expect(found === undefined).toBe(report.errors.length > 0);
    for (const { offset, shape, dtype, strides } of found?.tensors.values() ?? []) {
      const reach = shape.reduce((sum, size, i) => sum + (size - 1) * (strides?.[i] ?? 0), 1);
      const elements = strides === undefined ? elementCount(shape) : reach;
      expect(offset).toBeGreaterThanOrEqual(0);
      expect(offset + elements * DTYPE_BYTES[dtype]).toBeLessThanOrEqual(bytes.length);
    }
    return report.errors.map(({ code }) => code);
  });
  expect(performance.now() - start).toBeLessThan(MAX_MILLISECONDS);
  return codes;
}

function readOrRefuse(reading: () => string[]): string[] {
  try {
    return reading();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    expect(error.message).not.toBe("");
    return [error.code];
  }
}

describe("whatever a file of PyTorch holds, it is read or refused by name", () => {
  test.each(hostile)("%s of the corpus is refused", (_, bytes) => {
    expect(read(bytes)).not.toEqual([]);
  });

  test("files of the corpus with random changes", () => {
    fc.assert(
      fc.property(mutated(corpus.map(([, bytes]) => bytes)), (bytes) => {
        read(bytes);
      }),
      FUZZ,
    );
  });

  test("a pickle with random changes in an archive that is whole", () => {
    const nested = dict({
      a: tensor("0", { shape: [2] }),
      b: dict({ c: tensor("1", { shape: [1, 3], start: 1, count: 4 }) }),
    });
    fc.assert(
      fc.property(mutated([pickle(nested), pickle(dict({ state_dict: nested, step: op.int(7) }))]), (bytes) => {
        const storages = [floats(1, 2), floats(1, 2, 3, 4)].map((data, i) => ({ name: `x/data/${i}`, bytes: data }));
        read(zip([{ name: "x/data.pkl", bytes }, ...storages]));
      }),
      FUZZ,
    );
  });

  test("random opcodes, alone and in either format", () => {
    const opcode = fc.constantFrom(...Object.values(OP)).map((code) => Uint8Array.of(code));
    const piece = fc.oneof(
      { weight: 6, arbitrary: opcode },
      { weight: 3, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 3 }) },
      { weight: 2, arbitrary: fc.constant(new Uint8Array(tensor("0", { shape: [2] }))) },
      { weight: 1, arbitrary: fc.constant(Uint8Array.from(Buffer.from("Kccollections\nOrderedDict\n)R"))) },
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const root = Buffer.concat(pieces);
        readOrRefuse(() => {
          readPickle(root);
          return [];
        });
        read(archive(root, { 0: floats(1, 2) }));
        read(legacy(root, { 0: floats(1, 2) }));
      }),
      FUZZ,
    );
  });

  test("random bytes behind the beginning of either format", () => {
    const start = fc.constantFrom(Buffer.from("PK\u0003\u0004"), Buffer.from([0x80, 2]), Buffer.alloc(0));
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 300 }), (magic, rest) => {
        expect(read(Buffer.concat([magic, rest]))).toBeArrayOfSize(1);
      }),
      FUZZ,
    );
  });
});
