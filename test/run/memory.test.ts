import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Scratch } from "../../src/methods/types.ts";
import type { MergeOp } from "../../src/plan/types.ts";
import { peakMemory } from "../../src/run/memory.ts";
import { fixturePlan } from "./plan-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "sinter-plan-"));
afterAll(() => rmSync(root, { recursive: true }));
const plan = fixturePlan(root);

/** The memory of a plan whose tensors have this shape and need this scratch. */
function memory(shape: number[], scratch?: Scratch, threads = 2): number {
  return peakMemory({ ...plan, ops: plan.ops.map((op): MergeOp => ({ ...op, shape, scratch })) }, threads);
}

const LEAST = memory([4]);

test("the memory of a merge does not depend on the size of its tensors", () => {
  expect(memory([200_000, 8192])).toBe(LEAST);
});

test("looking for the largest magnitudes takes more, but stays bounded", () => {
  const one = memory([200_000, 80_000], { selections: 1 });
  const two = memory([200_000, 80_000], { selections: 2 });
  expect(one).toBeGreaterThan(LEAST);
  expect(two - one).toBe(one - LEAST);
  expect(memory([200_000, 80_000], { selections: 4 })).toBeLessThan(300e6);
});

test("masks of all tensors together are kept up to a budget", () => {
  expect(memory([1024, 1024], { masks: 2 }) - LEAST).toBe(plan.ops.length * 2 * 131_072);
  const huge = memory([200_000, 80_000], { masks: 8 });
  expect(huge - LEAST).toBeLessThan(110e6);
  const ops = plan.ops.map((op): MergeOp => ({ ...op, shape: [200_000, 80_000], scratch: { masks: 8 } }));
  expect(peakMemory({ ...plan, ops }, 2, 1e9)).toBe(huge + 1e9);
});

test("vectors have numbers of eight bytes, and each worker a row", () => {
  expect(memory([10], { numbers: 1000 }) - LEAST).toBe(8000);
  const perThread = (threads: number) => memory([10], { row: 1000 }, threads) - memory([10], {}, threads);
  expect(perThread(6)).toBe(3 * perThread(2));
  expect(perThread(1)).toBeGreaterThan(0);
});
