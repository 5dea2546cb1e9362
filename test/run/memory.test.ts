import { expect, test } from "bun:test";
import type { MergeOp, MergePlan } from "../../src/plan/types.ts";
import { peakMemory } from "../../src/run/memory.ts";
import { fixture } from "./plan-fixture.ts";

const { plan } = fixture();

function withShape(shape: number[], kernel: string): MergePlan {
  return { ...plan, ops: plan.ops.map((op): MergeOp => ({ ...op, shape, kernel })) };
}

test("the memory of a merge does not depend on the size of its tensors", () => {
  expect(peakMemory(withShape([200_000, 8192], "linear"), 2)).toBe(peakMemory(withShape([4], "linear"), 2));
});

test("choosing the largest magnitudes takes more, but stays bounded", () => {
  const huge = peakMemory(withShape([200_000, 80_000], "ties"), 2);
  expect(huge).toBeGreaterThan(peakMemory(withShape([4], "ties"), 2));
  expect(huge).toBeLessThan(300e6);
});
