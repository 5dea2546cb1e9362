import { describe, expect, test } from "bun:test";
import { FormatError } from "../../../src/model/format-error.ts";
import { dataOffset, readZipDirectory } from "../../../src/model/torch/zip-directory.ts";
import { memoryFile, type WrittenEntry, zip } from "./written.ts";

const a: WrittenEntry = { name: "x/a", bytes: Buffer.from("first") };
const b: WrittenEntry = { name: "x/b", bytes: Buffer.from("second one"), padding: 13 };

/** Contents by name, as the directory and the headers place them. */
function unpack(bytes: Uint8Array): Record<string, string> {
  const file = memoryFile(bytes);
  const contents = [...readZipDirectory(file).values()].map((entry) => {
    const offset = dataOffset(file, entry);
    return [entry.name, Buffer.from(bytes).toString("latin1", offset, offset + entry.size)];
  });
  return Object.fromEntries(contents);
}

function codeOf(bytes: Uint8Array): string {
  try {
    unpack(bytes);
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
  return "none";
}

describe("an archive", () => {
  test.each([false, true])("is read where its directory says (zip64: %p)", (zip64) => {
    expect(unpack(zip([a, b], { zip64 }))).toEqual({ "x/a": "first", "x/b": "second one" });
  });

  test("may have a comment, even one that looks like another archive's end", () => {
    const comment = zip([]);
    const bytes = zip([a]);
    bytes.writeUInt16LE(comment.length + 1, bytes.length - 2);
    expect(unpack(Buffer.concat([bytes, comment, Buffer.alloc(1)]))).toEqual({ "x/a": "first" });
  });

  test("may have exactly 65,535 entries without a larger end record", () => {
    const many = Array.from({ length: 65535 }, (_, i) => ({ name: `x/${i}`, bytes: Buffer.alloc(0) }));
    expect(readZipDirectory(memoryFile(zip(many))).size).toBe(65535);
  });

  test("with an entry that overlaps the one after it is refused", () => {
    expect(codeOf(zip([{ ...a, size: 60 }, b]))).toBe("zip-overlap");
    expect(codeOf(zip([a, { ...b, headerOffset: 0 }]))).toBe("zip-overlap");
    expect(codeOf(zip([a, { ...b, size: 11 }]))).toBe("zip-overlap");
  });

  test("with an entry whose header reaches into the next is refused", () => {
    const bytes = zip([a, b]);
    bytes.writeUInt16LE(9, 28);
    expect(codeOf(bytes)).toBe("zip-overlap");
  });

  test.each(["../x", "/etc/passwd", "a/../../b", "C:\\x", "a\\b", "a\0b", "", ".."])(
    "with a path that leads out of it is refused: %j",
    (name) => {
      expect(codeOf(zip([{ ...a, name }]))).toBe("zip-path");
    },
  );

  test("with one name twice is refused", () => {
    expect(codeOf(zip([a, a]))).toBe("zip-damaged");
  });

  test.each([
    ["compressed", { method: 8 }],
    ["encrypted", { flags: 1 }],
  ])("with %s data is refused once the data is asked for, with a sentence that names it", (_, how) => {
    const bytes = zip([a, { ...b, ...how }]);
    expect(readZipDirectory(memoryFile(bytes)).size).toBe(2);
    expect(() => unpack(bytes)).toThrow('"x/b" is compressed or encrypted');
  });

  test("whose headers and directory disagree about a name is refused", () => {
    expect(codeOf(zip([{ ...a, headerName: "x/c" }]))).toBe("zip-damaged");
  });

  test.each([0, 1, 3])("that announces %d entries where there are two is refused", (count) => {
    expect(codeOf(zip([a, b], { count }))).toBe("zip-damaged");
  });

  test("that is cut anywhere is refused", () => {
    const bytes = zip([a, b], { zip64: true });
    for (let length = 0; length < bytes.length; length++) {
      expect(codeOf(bytes.subarray(0, length))).toMatch(/^zip-/);
    }
  });

  test("whose directory would be huge is refused before it is read", () => {
    const bytes = Buffer.concat([Buffer.alloc(8), zip([])]);
    bytes.writeUInt32LE(0xfffffffe, bytes.length - 10);
    const file = memoryFile(bytes);
    expect(() => readZipDirectory(file)).toThrow(FormatError);
    expect(file.longest.length).toBeLessThanOrEqual(bytes.length);
  });
});
