import { afterAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { type Problem, Report } from "../../src/errors.ts";
import { DTYPE_BYTES, type Dtype } from "../../src/model/dtype.ts";
import { parseSafetensorsHeader, readSafetensorsHeader } from "../../src/model/safetensors.ts";
import { elementCount } from "../../src/model/types.ts";
import { expectInProportion } from "../support/growth.ts";
import { headerBytes, safetensorsFile, temporaryFolder } from "./written.ts";

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));

function parse(header: string | Uint8Array, dataBytes: number) {
  const bytes = headerBytes(header);
  const report = new Report();
  const parsed = parseSafetensorsHeader(bytes, bytes.length + dataBytes, "a.safetensors", report);
  return { parsed, errors: report.errors };
}

function parseObject(header: object, dataBytes: number) {
  return parse(JSON.stringify(header), dataBytes);
}

function codes(errors: readonly Problem[]): string[] {
  return errors.map((problem) => problem.code);
}

const f32 = (shape: unknown, begin: unknown, end: unknown) => ({ dtype: "F32", shape, data_offsets: [begin, end] });

describe("a valid header", () => {
  test("gives the tensors in the order of their offsets, with offsets from the start of the file", () => {
    const header = JSON.stringify({ b: f32([2], 4, 12), a: f32([], 0, 4), __metadata__: { format: "pt" } });
    const { parsed, errors } = parse(header, 12);
    expect(errors).toEqual([]);
    expect([...(parsed?.tensors ?? [])]).toEqual([
      ["a", { file: "a.safetensors", offset: 8 + header.length, dtype: "F32", shape: [] }],
      ["b", { file: "a.safetensors", offset: 12 + header.length, dtype: "F32", shape: [2] }],
    ]);
    expect(parsed?.metadata).toEqual({ format: "pt" });
    expect(parsed?.size).toBe(8 + header.length + 12);
  });

  test("may begin the data at an odd offset, and be padded with spaces", () => {
    const text = JSON.stringify({ a: f32([1], 0, 4) });
    const odd = text.length % 2 === 0 ? `${text} ` : text;
    expect(parse(odd, 4).parsed?.tensors.get("a")?.offset).toBe(8 + odd.length);
    expect((parse(odd, 4).parsed?.tensors.get("a")?.offset ?? 0) % 2).toBe(1);
  });

  test("may hold tensors without elements, several at one offset", () => {
    const { parsed } = parseObject({ a: f32([0], 0, 0), b: f32([3, 0], 4, 4), c: f32([1], 0, 4) }, 4);
    expect([...(parsed?.tensors.keys() ?? [])]).toEqual(["a", "c", "b"]);
  });

  test("may hold no tensors, and names that only look special", () => {
    expect(parse("{}", 0).parsed?.tensors.size).toBe(0);
    const entry = JSON.stringify(f32([1], 0, 4));
    expect([...(parse(`{"__proto__":${entry}}`, 4).parsed?.tensors.keys() ?? [])]).toEqual(["__proto__"]);
    expect([...(parse(`{"\\u0061\\"b":${entry}}`, 4).parsed?.tensors.keys() ?? [])]).toEqual(['a"b']);
  });

  test("may have keys in its entries that this version does not know", () => {
    const { parsed } = parseObject({ a: { ...f32([1], 0, 4), note: { deep: [[], "}"] } } }, 4);
    expect(parsed?.tensors.size).toBe(1);
  });

  test("comes back as it was written, whatever the names, shapes, dtypes and order", () => {
    fc.assert(
      fc.property(validHeader, ({ entries, dataBytes, metadata, order, blanks }) => {
        const shuffled = entries.toSorted((a, b) => rank(order, entries.indexOf(a)) - rank(order, entries.indexOf(b)));
        const object = shuffled.map(
          ({ name, ...rest }) => `${JSON.stringify(name)}:${JSON.stringify(rest, null, blanks)}`,
        );
        const text = `{${[`"__metadata__":${JSON.stringify(metadata)}`, ...object].join(",")}}`;
        const { parsed, errors } = parse(text, dataBytes);
        expect(errors).toEqual([]);
        const start = headerBytes(text).length;
        expect(Object.fromEntries(parsed?.tensors ?? [])).toEqual(
          Object.fromEntries(
            entries.map(({ name, dtype, shape, data_offsets }) => [
              name,
              { file: "a.safetensors", offset: start + data_offsets[0], dtype, shape },
            ]),
          ),
        );
        expect(parsed?.metadata).toEqual(metadata);
      }),
    );
  });
});

function rank(order: readonly number[], index: number): number {
  return order[index % order.length] ?? 0;
}

interface Entry {
  name: string;
  dtype: Dtype;
  shape: number[];
  data_offsets: [number, number];
}

const tensors = fc.uniqueArray(
  fc.record({
    name: fc.string({ unit: "grapheme" }).filter((name) => name !== "__metadata__" && name !== "__proto__"),
    dtype: fc.constantFrom(...(Object.keys(DTYPE_BYTES) as Dtype[])),
    shape: fc.array(fc.nat(5), { maxLength: 4 }),
  }),
  { selector: ({ name }) => name, maxLength: 12 },
);

const validHeader = fc
  .record({
    tensors,
    metadata: fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
    order: fc.array(fc.nat(20), { minLength: 1 }),
    blanks: fc.nat(3),
  })
  .map(({ tensors, ...rest }) => {
    let dataBytes = 0;
    const entries = tensors.map(({ name, dtype, shape }): Entry => {
      const begin = dataBytes;
      dataBytes += elementCount(shape) * DTYPE_BYTES[dtype];
      return { name, dtype, shape, data_offsets: [begin, dataBytes] };
    });
    return { ...rest, entries, dataBytes };
  });

describe("a damaged file", () => {
  test("is refused or understood without overlap, holes or bytes beyond the file, and never throws", () => {
    const change = fc.record({ at: fc.nat(), byte: fc.nat(255), kind: fc.constantFrom("set", "insert", "remove") });
    const digits = fc.record({
      at: fc.nat(),
      byte: fc.integer({ min: 48, max: 57 }),
      kind: fc.constant("set" as const),
    });
    fc.assert(
      fc.property(
        validHeader,
        fc.array(fc.oneof(change, digits), { minLength: 1, maxLength: 3 }),
        fc.integer({ min: -3, max: 3 }),
        ({ entries, dataBytes }, changes, grow) => {
          const header = Object.fromEntries(entries.map(({ name, ...rest }) => [name, rest]));
          let bytes = [...headerBytes(JSON.stringify(header))];
          for (const { at, byte, kind } of changes) {
            bytes = bytes.toSpliced(at % bytes.length, kind === "insert" ? 0 : 1, ...(kind === "remove" ? [] : [byte]));
          }
          const size = Math.max(0, bytes.length + dataBytes + grow);
          expectSound(Uint8Array.from(bytes.slice(0, size)), size);
        },
      ),
      { numRuns: 2000 },
    );
  });

  function expectSound(bytes: Uint8Array, size: number): void {
    const report = new Report();
    const parsed = parseSafetensorsHeader(bytes, size, "a.safetensors", report);
    expect(parsed === undefined).toBe(report.errors.length > 0);
    if (parsed === undefined) return;
    let end = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    for (const { offset, dtype, shape } of parsed.tensors.values()) {
      expect(offset).toBe(end);
      end += elementCount(shape) * DTYPE_BYTES[dtype];
    }
    expect(end).toBe(size);
  }
});

describe("what a header says wrong", () => {
  test.each([
    ["is shorter than its length", new Uint8Array([1, 0, 0]), 3, "safetensors-too-short"],
    ["has a header longer than the file", headerBytes("{}").fill(3, 0, 1), 10, "safetensors-header-length"],
    ["has a header longer than any", new Uint8Array(8).fill(255), 1e12, "safetensors-header-length"],
  ])("a file that %s is refused", (_, bytes, size, code) => {
    const report = new Report();
    expect(parseSafetensorsHeader(bytes, size, "a.safetensors", report)).toBeUndefined();
    expect(codes(report.errors)).toEqual([code]);
    expect(report.errors[0]?.path).toBe("a.safetensors");
  });

  test("text that is not UTF-8, not JSON or not an object", () => {
    expect(codes(parse(new Uint8Array([0x7b, 0xff, 0x7d]), 0).errors)).toEqual(["safetensors-header-utf8"]);
    expect(codes(parse('{"a":', 0).errors)).toEqual(["safetensors-header-json"]);
    expect(codes(parse("{} x", 0).errors)).toEqual(["safetensors-header-json"]);
    expect(codes(parse("[1]", 0).errors)).toEqual(["safetensors-header-object"]);
  });

  const whole = f32([1], 0, 4);
  test.each([
    ["a number", 3],
    ["without a shape", { dtype: "F32", data_offsets: [0, 4] }],
    ["with a dtype that is no text", { ...whole, dtype: 32 }],
    ["with a shape that is no list", { ...whole, shape: 1 }],
    ["with a shape of texts", { ...whole, shape: ["1"] }],
    ["with three offsets", { ...whole, data_offsets: [0, 4, 8] }],
  ])("an entry %s names the tensor", (_, entry) => {
    const { errors } = parseObject({ a: entry }, 4);
    expect(codes(errors)).toEqual(["safetensors-entry"]);
    expect(errors[0]?.tensor).toBe("a");
  });

  test("an entry with one key twice, which readers may understand differently", () => {
    const text = '{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}';
    expect(codes(parse(text, 4).errors)).toEqual(["safetensors-entry"]);
  });

  test("a tensor that is named twice", () => {
    const entry = JSON.stringify(whole);
    const { errors } = parse(`{"a":${entry},"\\u0061":${JSON.stringify(f32([1], 4, 8))}}`, 8);
    expect(codes(errors)).toEqual(["safetensors-duplicate-name"]);
    expect(errors[0]?.tensor).toBe("a");
  });

  test.each([[{ a: 1 }], ["pt"], [null], [["pt"]]])("metadata that is not an object of texts: %j", (metadata) => {
    expect(codes(parseObject({ __metadata__: metadata }, 0).errors)).toEqual(["safetensors-metadata"]);
  });

  test("metadata that stands twice", () => {
    expect(codes(parse('{"__metadata__":{},"__metadata__":{}}', 0).errors)).toEqual(["safetensors-metadata"]);
  });

  test.each([
    ["C64", "unsupported-dtype", "unsupported dtype C64"],
    ["F8_E4M3", "quantised-weights", "the weights are quantised (F8_E4M3), and quantised weights cannot be merged"],
  ])("a dtype that cannot be merged is named once, with the number of its tensors: %s", (dtype, code, message) => {
    const entry = (begin: number) => ({ dtype, shape: [4], data_offsets: [begin, begin + 4] });
    const { errors } = parseObject({ a: entry(0), b: entry(4), c: entry(8) }, 12);
    expect(codes(errors)).toEqual([code]);
    expect(errors[0]?.message).toBe(`${message} (and 2 more tensors)`);
    expect(errors[0]?.tensor).toBe("a");
  });

  test.each([[[-1]], [[1.5]], [[2 ** 53]], [[2 ** 40, 2 ** 40]]])("a shape that means nothing: %j", (shape) => {
    expect(codes(parseObject({ a: f32(shape, 0, 4) }, 4).errors)).toEqual(["safetensors-shape"]);
  });

  test.each([
    [-4, 0],
    [0.5, 4.5],
    [0, 2 ** 53],
    [4, 0],
  ])("offsets that mean nothing: %d, %d", (begin, end) => {
    expect(codes(parseObject({ a: f32([1], begin, end) }, 4).errors)).toEqual(["safetensors-offsets"]);
  });

  test("a shape whose bytes overflow to the right number", () => {
    const { errors } = parseObject({ a: { dtype: "F32", shape: [2 ** 31, 2 ** 31], data_offsets: [0, 0] } }, 0);
    expect(codes(errors)).toEqual(["safetensors-shape"]);
  });

  test("a shape that takes other bytes than the offsets span", () => {
    const { errors } = parseObject({ a: f32([2, 3], 0, 20) }, 20);
    expect(codes(errors)).toEqual(["safetensors-byte-length"]);
    expect(errors[0]?.message).toBe("shape [2, 3] in F32 takes 24 bytes, but data_offsets span 20");
  });

  test("tensors that overlap, and by how much", () => {
    const { errors } = parseObject({ a: f32([2], 0, 8), b: f32([1], 6, 10) }, 10);
    expect(codes(errors)).toEqual(["safetensors-overlap"]);
    expect(errors[0]?.message).toBe(`the tensor's data overlaps that of "a" by 2 bytes`);
  });

  test("holes at the beginning and between", () => {
    const { errors } = parseObject({ a: f32([1], 4, 8), b: f32([1], 9, 13) }, 13);
    expect(codes(errors)).toEqual(["safetensors-hole", "safetensors-hole"]);
  });

  test("a truncated file, with the bytes that are missing", () => {
    const { errors } = parseObject({ a: f32([2], 0, 8) }, 3);
    expect(codes(errors)).toEqual(["safetensors-truncated"]);
    expect(errors[0]?.message).toContain("5 of the 8 bytes");
  });

  test("bytes after the last tensor", () => {
    expect(codes(parseObject({ a: f32([1], 0, 4) }, 7).errors)).toEqual(["safetensors-trailing-bytes"]);
  });

  test("everything that is wrong is told at once, up to a limit", () => {
    const { errors } = parseObject({ a: f32([1], -1, 4), b: 3, c: f32([1.5], 4, 8) }, 8);
    expect(codes(errors).sort()).toEqual(["safetensors-entry", "safetensors-offsets", "safetensors-shape"]);
    const many = parseObject(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`t${i}`, 0])), 0).errors;
    expect(many).toHaveLength(21);
    expect(many.at(-1)?.message).toContain("480 more problems");
  });
});

describe("reading a file", () => {
  test("reads the header of a file on disk", () => {
    const path = join(folder, "whole.safetensors");
    writeFileSync(path, safetensorsFile({ a: [2, 3], b: [5] }));
    const parsed = readSafetensorsHeader(path, new Report());
    expect([...(parsed?.tensors.values() ?? [])].map(({ shape }) => shape)).toEqual([[2, 3], [5]]);
  });

  test.each([
    ["absent.safetensors", "unreadable-file"],
    [".", "unreadable-file"],
  ])("reports what cannot be read: %s", (name, code) => {
    const report = new Report();
    expect(readSafetensorsHeader(join(folder, name), report)).toBeUndefined();
    expect(codes(report.errors)).toEqual([code]);
  });

  test("does not set memory aside for a header that the file cannot hold", () => {
    const path = join(folder, "short.safetensors");
    writeFileSync(path, headerBytes("{}").fill(9, 1, 4));
    const report = new Report();
    expect(readSafetensorsHeader(path, report)).toBeUndefined();
    expect(codes(report.errors)).toEqual(["safetensors-header-length"]);
  });

  test("takes time in proportion to a header's tensors", () => {
    expectInProportion(100_000, (length) => {
      const entries = Array.from({ length }, (_, i) => {
        const offsets = `[${4096 * i},${4096 * (i + 1)}]`;
        return `"model.layers.${i % 100}.experts.${i}.weight":{"dtype":"BF16","shape":[64,32],"data_offsets":${offsets}}`;
      });
      const text = `{${entries.join(",")}}`;
      return () => expect(parse(text, 4096 * length).parsed?.tensors.size).toBe(length);
    });
  });
});
