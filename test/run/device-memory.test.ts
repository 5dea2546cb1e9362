import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  LEAST_MEMORY,
  LOW_PINNED,
  MOST_SLOTS,
  pinnedOf,
  SHARE_OF_FREE,
  SLOT_MEMORY,
  SLOT_PINNED,
  slotMemory,
  USUAL_PINNED,
} from "../../src/run/device-memory.ts";

const usual = { lowMemory: false };

/** What the native sources write where the pattern has its group. */
function written(file: string, pattern: RegExp): number {
  const source = readFileSync(join(import.meta.dir, "../../native/device", file), "utf8");
  const [, factor, power = "0"] = pattern.exec(source) ?? [];
  return Number(factor) * 2 ** Number(power);
}

test("numbers are those of the native sources", () => {
  expect(written("pipeline.h", /kUsualPinned = (\d+) << (\d+);/)).toBe(USUAL_PINNED);
  expect(written("pipeline.cc", /kShareOfFree = ([\d.]+);/)).toBe(SHARE_OF_FREE);
  expect(written("pipeline.cc", /kSlotMemory = (\d+) << (\d+);/)).toBe(SLOT_MEMORY);
  const slots = /pinned \/ \((\d+) << (\d+)\), 1, (\d+)\)/;
  expect(written("slot.h", slots)).toBe(SLOT_PINNED);
  expect(written("slot.h", /pinned \/ \(\d+ << \d+\), 1, (\d+)\)/)).toBe(MOST_SLOTS);
});

test("an op gets the share of one slot: a third where there is enough, all of it with little host memory", () => {
  expect(slotMemory(usual, 80e9)).toBe(Math.trunc((0.9 * 80e9) / 3));
  expect(slotMemory({ lowMemory: true }, 80e9)).toBe(0.9 * 80e9);
  expect(slotMemory({ ...usual, memory: 600 << 20 }, 80e9)).toBe(300 << 20);
  expect(slotMemory({ ...usual, memory: LEAST_MEMORY }, 80e9)).toBe(LEAST_MEMORY);
  expect([pinnedOf(usual), pinnedOf({ lowMemory: true })]).toEqual([USUAL_PINNED, LOW_PINNED]);
});
