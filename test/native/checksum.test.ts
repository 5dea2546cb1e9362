import { expect, test } from "bun:test";
import { numbers, runOps, type WorkOp } from "./workbench.ts";

function copyOf(bytes: Uint8Array, crc32 = true): WorkOp {
  return { kernel: "copy", inputs: [{ bytes, dtype: "U8" }], dtype: "U8", count: bytes.length, crc32 };
}

const BLOCK = 4 << 20;

const { uniform } = numbers(1);
const bytes = Uint8Array.from({ length: 2 * BLOCK + 4321 }, () => uniform() * 256);

test("the CRC-32 is the one of zip files, across blocks", async () => {
  const sizes = [0, 1, 7, 8, 9, 1000, 65_537, BLOCK - 1, BLOCK, BLOCK + 1, bytes.length];
  const outcomes = await runOps(sizes.map((size) => copyOf(bytes.subarray(0, size))));
  expect(outcomes.map(({ result }) => result.crc32)).toEqual(
    sizes.map((size) => Bun.hash.crc32(bytes.subarray(0, size))),
  );
});

test("without being asked for, there is no CRC-32", async () => {
  const [outcome] = await runOps([copyOf(bytes.subarray(0, 100), false)]);
  expect(outcome?.result.crc32).toBe(0);
});

test("the checksum is of the bytes: equal for equal bytes, changed by every bit", async () => {
  const flipped = (at: number) => bytes.with(at, (bytes[at] as number) ^ 1);
  const places = [0, 1, 4095, BLOCK - 1, BLOCK, 2 * BLOCK, bytes.length - 1];
  const variants = [
    bytes,
    bytes.slice(),
    bytes.subarray(1),
    bytes.subarray(0, bytes.length - 1),
    ...places.map(flipped),
  ];
  const outcomes = await runOps(variants.map((variant) => copyOf(variant)));
  const checksums = outcomes.map(({ result }) => result.checksum);
  for (const checksum of checksums) expect(checksum).toMatch(/^[0-9a-f]{32}$/);
  expect(checksums[1]).toBe(checksums[0] as string);
  expect(new Set(checksums).size).toBe(variants.length - 1);
});

test("the checksum is the documented one: XXH3-128 over the XXH3-128 of each 4 MiB block", async () => {
  // python-xxhash 4.0.1: xxh3_128(b"".join(xxh3_128(block).digest() for block in blocks)).hexdigest()
  const pattern = Uint8Array.from({ length: BLOCK + 3 }, (_, i) => (i * 7 + (i >> 8)) & 255);
  const [whole, short, empty] = await runOps(
    [pattern, pattern.subarray(0, 100), pattern.subarray(0, 0)].map((b) => copyOf(b)),
  );
  expect(whole?.result.checksum).toBe("a7fc6f8bd84a0a7941ce921086e58aa7");
  expect(short?.result.checksum).toBe("9471a5ead3d059ac497d0583c7fa7480");
  expect(empty?.result.checksum).toBe("99aa06d3014798d86001c324468d497f");
});
