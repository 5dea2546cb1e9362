import { afterEach, expect, test } from "bun:test";
import { PassProgress } from "../../src/run/pass-progress.ts";
import type { RunProgress } from "../../src/run/types.ts";

let progress: PassProgress | undefined;
afterEach(() => progress?.stop());

/** A pass over 1000 bytes, what native code says of it, and what was told. */
function pass() {
  const told: RunProgress[] = [];
  const native = { bytes: 0 };
  progress = new PassProgress("merging", 1000, { underway: () => native.bytes }, { progress: (one) => told.push(one) });
  return { told, native, pass: progress };
}

test("the beginning is told at once, once", () => {
  const { told, pass: run } = pass();
  run.begun(0, "a");
  run.begun(1, "b");
  expect(told.map(({ bytes, tensor }) => [bytes, tensor])).toEqual([[0, "a"]]);
});

test("a large tensor moves while it is computed, and its name is that of the oldest under way", () => {
  const { told, native, pass: run } = pass();
  run.begun(0, "embedding");
  run.begun(1, "norm");
  native.bytes = 250.7;
  run.tell();
  run.ended(1, 10);
  native.bytes = 240;
  run.tell();
  native.bytes = 600;
  run.tell();
  expect(told.map(({ bytes, tensor }) => [bytes, tensor])).toEqual([
    [0, "embedding"],
    [250, "embedding"],
    [260, "embedding"],
    [260, "embedding"],
    [610, "embedding"],
  ]);
});

test("all is done when the last tensor has ended, and not before", () => {
  const { told, native, pass: run } = pass();
  run.begun(0, "w");
  native.bytes = 5000;
  run.tell();
  native.bytes = 0;
  run.ended(0, 1000);
  run.syncing();
  expect(told.map(({ phase, bytes, tensor }) => [phase, bytes, tensor])).toEqual([
    ["merging", 0, "w"],
    ["merging", 999, "w"],
    ["merging", 1000, "w"],
    ["syncing", 1000, "w"],
  ]);
});

test("what an earlier run did is told apart", () => {
  const { told, pass: run } = pass();
  run.begun(0, "a");
  run.ended(0, 400, true);
  run.begun(1, "b");
  run.ended(1, 100);
  expect(told.at(-1)).toMatchObject({ bytes: 500, earlierBytes: 400, tensor: "b" });
});

test("something is told while nothing ends, until it is stopped", async () => {
  const { told, native, pass: run } = pass();
  run.begun(0, "w");
  native.bytes = 1;
  while (told.length < 3) await Bun.sleep(10);
  run.stop();
  const count = told.length;
  await Bun.sleep(250);
  expect(told.length).toBe(count);
});
