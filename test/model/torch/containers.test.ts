import { describe, expect, test } from "bun:test";
import { Report } from "../../../src/errors.ts";
import { FormatError } from "../../../src/model/format-error.ts";
import { parseTorchFile } from "../../../src/model/torch/torch-file.ts";
import { archive, dict, floats, legacy, memoryFile, op, pickle, tensor, tuple, zip } from "./written.ts";

/** Float32 values of every tensor; or codes of what is wrong. */
function parse(bytes: Uint8Array): Record<string, number[]> | string[] {
  const report = new Report();
  try {
    const file = parseTorchFile(memoryFile(bytes), report);
    if (file === undefined) return report.errors.map(({ code }) => code);
    const values = [...file.tensors].map(([name, { offset, shape }]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return [name, Array.from({ length: count }, (_, i) => Buffer.from(bytes).readFloatLE(offset + 4 * i))];
    });
    return Object.fromEntries(values);
  } catch (error) {
    if (error instanceof FormatError) return [error.code];
    throw error;
  }
}

const root = dict({ a: tensor("0", { shape: [2] }), b: tensor("1", { shape: [2], start: 1, count: 3 }) });
const storages = { 0: floats(1, 2), 1: floats(3, 4, 5) };
const expected = { a: [1, 2], b: [4, 5] };

describe.each([
  ["archive", archive],
  ["file of the format before", legacy],
])("a hand-made %s", (_, write) => {
  test("gives views of its storages", () => {
    expect(parse(write(root, storages))).toEqual(expected);
  });

  test("may share a storage among tensors", () => {
    const shared = dict({
      a: tensor("0", { shape: [2, 2], count: 6 }),
      b: tensor("0", { shape: [3], start: 3, count: 6 }),
      c: tensor("0", { shape: [2, 2], count: 6 }),
    });
    expect(parse(write(shared, { 0: floats(1, 2, 3, 4, 5, 6) }))).toEqual({
      a: [1, 2, 3, 4],
      b: [4, 5, 6],
      c: [1, 2, 3, 4],
    });
  });

  test.each([
    ["begins too late", { shape: [2], start: 1 }],
    ["is too long", { shape: [3] }],
    ["is too large for numbers", { shape: [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1] }],
  ])("whose tensor reaches beyond its storage is refused: it %s", (_name, view) => {
    const reaching = dict({ a: tensor("0", { strides: view.shape.map(() => 1), count: 2, ...view }) });
    expect(parse(write(reaching, { 0: floats(1, 2) }))).toEqual(["torch-bounds"]);
  });

  test("whose storage is not in the file is refused", () => {
    expect(parse(write(dict({ a: tensor("7", { shape: [2] }) }), {}))).toEqual(["torch-storage"]);
  });

  test("whose storage is smaller than the pickle says is refused", () => {
    expect(parse(write(dict({ a: tensor("0", { shape: [3] }) }), { 0: floats(1, 2) }))).toEqual(["torch-storage"]);
  });

  test.each([
    ["transposed", { shape: [2, 3], strides: [1, 2] }],
    ["every second element", { shape: [3], strides: [2], count: 6 }],
    ["repeated", { shape: [2, 3], strides: [0, 1] }],
  ])("whose tensor is %s gives its strides", (_name, view) => {
    const six = { 0: floats(1, 2, 3, 4, 5, 6) };
    const bytes = write(dict({ a: tensor("0", { count: 6, ...view }) }), six);
    expect(parseTorchFile(memoryFile(bytes), new Report())?.tensors.get("a")).toMatchObject({
      shape: view.shape,
      strides: view.strides,
    });
  });

  test.each([
    ["reaches one element too far", { shape: [2, 3], strides: [1, 3] }],
    ["repeats an element more often than numbers can say", { shape: [2 ** 30, 2 ** 30], strides: [0, 0] }],
    ["begins too late", { shape: [2, 2], strides: [1, 2], start: 3 }],
  ])("whose view with strides is no part of its storage is refused: it %s", (_name, view) => {
    const six = { 0: floats(1, 2, 3, 4, 5, 6) };
    expect(parse(write(dict({ a: tensor("0", { count: 6, ...view }) }), six))).toEqual(["torch-bounds"]);
  });

  test("may give any stride to a dimension of size 1, and to all of an empty tensor", () => {
    const one = dict({
      a: tensor("0", { shape: [1, 2], strides: [77, 1] }),
      b: tensor("1", { shape: [0, 5], strides: [3, 9], start: 3, count: 3 }),
    });
    expect(parse(write(one, storages))).toEqual({ a: [1, 2], b: [] });
  });

  test("with nothing in it is refused", () => {
    expect(parse(write(op.emptyDict, {}))).toEqual(["torch-no-tensors"]);
  });

  test("that is cut anywhere is refused", () => {
    const bytes = write(root, storages);
    for (let length = 0; length < bytes.length; length++) {
      expect(parse(bytes.subarray(0, length))).toBeArrayOfSize(1);
    }
  });
});

describe("an archive", () => {
  test("may have a folder of any name", () => {
    expect(parse(archive(root, storages, "größe v1.2"))).toEqual(expected);
  });

  test.each([
    ["without data.pkl", [{ name: "word/document.xml", bytes: floats() }], "torch-not-a-checkpoint"],
    [
      "with two checkpoints",
      [
        { name: "a/data.pkl", bytes: floats() },
        { name: "b/data.pkl", bytes: floats() },
      ],
      "torch-not-a-checkpoint",
    ],
    [
      "that is a TorchScript program",
      [
        { name: "a/data.pkl", bytes: floats() },
        { name: "a/constants.pkl", bytes: floats() },
      ],
      "torch-script",
    ],
    [
      "that a big-endian machine wrote",
      [
        { name: "a/data.pkl", bytes: floats() },
        { name: "a/byteorder", bytes: Buffer.from("big") },
      ],
      "torch-big-endian",
    ],
    ["whose pickle is compressed", [{ name: "a/data.pkl", bytes: floats(), method: 8 }], "zip-compressed"],
  ])("%s is refused", (_, entries, code) => {
    expect(parse(zip(entries))).toEqual([code]);
  });

  test("whose storage is compressed is refused", () => {
    const entries = [
      { name: "a/data.pkl", bytes: pickle(dict({ a: tensor("0", { shape: [1] }) })) },
      { name: "a/data/0", bytes: floats(1), method: 8 },
    ];
    expect(parse(zip(entries))).toEqual(["zip-compressed"]);
  });
});

describe("a file of the format before archives", () => {
  test("may have storages that are parts of others", () => {
    const part = tuple(op.text("1.2"), op.int(2), op.int(3));
    const parts = dict({ a: tensor("0", { shape: [2], start: 1, count: 6, part }), b: tensor("0", { shape: [6] }) });
    expect(parse(legacy(parts, { 0: floats(1, 2, 3, 4, 5, 6) }))).toEqual({ b: [1, 2, 3, 4, 5, 6], a: [4, 5] });
  });

  test("whose parts reach beyond the whole is refused", () => {
    const part = tuple(op.text("1.2"), op.int(2), op.int(5));
    const parts = dict({ a: tensor("0", { shape: [2], count: 6, part }) });
    expect(parse(legacy(parts, { 0: floats(1, 2, 3, 4, 5, 6) }))).toEqual(["pickle-form"]);
  });

  test("lists storages in its own order", () => {
    expect(parse(legacy(root, { 1: storages[1], 0: storages[0] }))).toEqual(expected);
  });

  test.each([
    ["of an unknown version", legacy(root, storages, { version: 1002 }), "torch-not-a-checkpoint"],
    ["that a big-endian machine wrote", legacy(root, storages, { littleEndian: false }), "torch-big-endian"],
    ["that lists a storage no tensor has", legacy(root, { ...storages, 9: floats(1) }), "torch-storage"],
    [
      "whose storage has more elements than the pickle says",
      legacy(root, { ...storages, 0: floats(1, 2, 3) }),
      "torch-storage",
    ],
    ["that is a pickle of something else", pickle(dict({ a: op.int(1) })), "torch-not-a-checkpoint"],
  ])("%s is refused", (_, bytes, code) => {
    expect(parse(bytes)).toEqual([code]);
  });

  test("is read in growing parts, however long its pickle is", () => {
    const long = dict({ note: op.text("x".repeat(3 << 20)), a: tensor("0", { shape: [2] }) });
    const bytes = Buffer.concat([legacy(long, { 0: floats(1, 2) }), Buffer.alloc(40 << 20)]);
    const file = memoryFile(bytes);
    expect([...(parseTorchFile(file, new Report())?.tensors.keys() ?? [])]).toEqual(["a"]);
    expect(file.longest.length).toBe(8 << 20);
  });
});
