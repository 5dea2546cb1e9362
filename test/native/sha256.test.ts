import { afterAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { native } from "../../src/native.ts";

const root = mkdtempSync(join(tmpdir(), "sinter-sha256-"));
afterAll(() => rmSync(root, { recursive: true }));

async function hashed(name: string, bytes: Uint8Array | string): Promise<string[]> {
  const path = join(root, name);
  writeFileSync(path, bytes);
  return [await native().sha256(path), await native().sha256(path, true)];
}

// FIPS 180-4's examples (csrc.nist.gov, "SHA-256"), and the empty message.
test.each([
  ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  ],
  ["a".repeat(1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"],
])("the standard's examples, with the CPU's instructions and without", async (text, wanted) => {
  expect(await hashed("vector", text)).toEqual([wanted, wanted]);
});

test("files of every length around a block, and around what is read at a time", async () => {
  const near = (size: number) => [size - 1, size, size + 1];
  const lengths = [...Array.from({ length: 130 }, (_, i) => i), ...near(256 << 10), ...near(512 << 10), 999_983];
  const bytes = Buffer.from(Uint32Array.from({ length: 250_000 }, (_, i) => Math.imul(i, 2654435761)).buffer);
  for (const length of lengths) {
    const wanted = createHash("sha256").update(bytes.subarray(0, length)).digest("hex");
    expect([length, ...(await hashed("length", bytes.subarray(0, length)))]).toEqual([length, wanted, wanted]);
  }
});

test("several files at once", async () => {
  const paths = Array.from({ length: 20 }, (_, i) => join(root, `many-${i}`));
  for (const [i, path] of paths.entries()) writeFileSync(path, `file ${i}`);
  const hashes = await Promise.all(paths.map((path) => native().sha256(path)));
  expect(hashes).toEqual(paths.map((_, i) => createHash("sha256").update(`file ${i}`).digest("hex")));
});

test("a file that is not there is an error with its name", async () => {
  const error = await native()
    .sha256(join(root, "nowhere"))
    .catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "SOURCE_OPEN", message: expect.stringContaining("nowhere") });
});
