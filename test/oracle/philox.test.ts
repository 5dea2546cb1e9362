import { describe, expect, test } from "bun:test";
import { philox, randomMask, type Words4 } from "./philox.ts";

const ONES = 0xffffffff;

describe("Philox4x32-10", () => {
  // Random123 1.14, tests/kat_vectors.
  const known: [Words4, [number, number], Words4][] = [
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [ONES, ONES, ONES, ONES],
      [ONES, ONES],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ];
  test.each(known)("counter %p under key %p", (counter, key, words) => {
    expect(philox(counter, key)).toEqual(words);
  });
});

describe("a random mask", () => {
  const kept = (mask: Uint8Array) => mask.reduce((sum, bit) => sum + bit, 0);

  test("keeps everything from probability 1 and nothing at 0", () => {
    expect(kept(randomMask(0, "w", 0, 1001, 1))).toBe(1001);
    expect(kept(randomMask(0, "w", 0, 1001, 0))).toBe(0);
  });

  test("keeps its share within five standard deviations", () => {
    const count = 100_000;
    for (const p of [0.1, 0.5, 0.9]) {
      const deviation = Math.sqrt(count * p * (1 - p));
      expect(Math.abs(kept(randomMask(7, "model.norm.weight", 1, count, p)) - count * p)).toBeLessThan(5 * deviation);
    }
  });

  test("differs between seeds, tensors and sources, and is the start of a longer one", () => {
    const mask = randomMask(1, "a", 0, 256, 0.5);
    expect(randomMask(2, "a", 0, 256, 0.5)).not.toEqual(mask);
    expect(randomMask(1, "b", 0, 256, 0.5)).not.toEqual(mask);
    expect(randomMask(1, "a", 1, 256, 0.5)).not.toEqual(mask);
    expect(randomMask(1, "a", 0, 301, 0.5).subarray(0, 256)).toEqual(mask);
  });
});
