import { afterAll, expect, test } from "bun:test";
import { truncateSync } from "node:fs";
import { loadMergeConfig } from "../../src/config/read.ts";
import { Report, SinterError } from "../../src/errors.ts";
import { native } from "../../src/native.ts";
import { buildPlan } from "../../src/plan/build.ts";
import { DEFAULT_OPTIONS } from "../../src/plan/types.ts";
import { runPlan } from "../../src/run/run.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";

const work = new Workplace();
afterAll(() => work.remove());

/** Merges while `meddle` runs after the first tensor. @returns what went wrong. */
async function mergeWhile(meddle: () => void): Promise<readonly string[]> {
  const report = new Report();
  const config = work.config(`merge_method: passthrough\nmodels: [{model: ${work.path("a")}}]\n`);
  const plan = buildPlan(loadMergeConfig(work.path(config), { strict: false }, report), DEFAULT_OPTIONS, "out", report);
  let waiting = true;
  const events = {
    progress() {
      if (waiting) meddle();
      waiting = false;
    },
  };
  try {
    const options = { force: false, resume: true, nan: "warn", sync: false, opsInFlight: 1 } as const;
    await runPlan(plan, work.path("out"), options, native(), events);
    return [];
  } catch (error) {
    if (!(error instanceof SinterError)) throw error;
    return error.problems.map(({ code }) => code);
  }
}

test("an input that shrinks by a few bytes, inside a page of memory, fails the merge and leaves nothing", async () => {
  writeTinyModel(work.path("a"));
  const size = Bun.file(work.path("a", "model.safetensors")).size;
  expect(await mergeWhile(() => truncateSync(work.path("a", "model.safetensors"), size - 3))).toEqual([
    "source-changed",
  ]);
  expect(work.list("out")).toBeUndefined();
});

test("an input that shrinks to nothing fails the merge and leaves nothing", async () => {
  writeTinyModel(work.path("a"));
  const codes = await mergeWhile(() => truncateSync(work.path("a", "model.safetensors"), 0));
  expect(codes).toEqual([expect.stringMatching(/^source-/)]);
  expect(work.list("out")).toBeUndefined();
});

test("an input that nobody touches is merged", async () => {
  writeTinyModel(work.path("a"));
  expect(await mergeWhile(() => {})).toEqual([]);
});
