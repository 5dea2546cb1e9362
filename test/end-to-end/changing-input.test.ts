import { afterAll, expect, test } from "bun:test";
import {
  closeSync,
  copyFileSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeSync,
} from "node:fs";
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

/** Merges while `meddle` runs after the first tensor. @returns the codes of what went wrong, or of warnings. */
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
    const { warnings } = await runPlan(plan, work.path("out"), options, native(), events);
    rmSync(work.path("out"), { recursive: true });
    return warnings.map(({ code }) => code);
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

/** Writes other bytes into the last tensor: the size and the header stay. */
function writeInto(path: string): void {
  const file = openSync(path, "r+");
  writeSync(file, new Uint8Array([1, 2, 3, 4]), 0, 4, statSync(path).size - 4);
  closeSync(file);
}

const input = () => work.path("a", "model.safetensors");

/** A date that the call takes whole: of real ones it cuts off the nanoseconds. */
const DATE = new Date("2024-01-02T03:04:05Z");

test.each<[string, () => void, RegExp]>([
  ["is written to", () => writeInto(input()), /^source-changed$/],
  [
    "is replaced by another file of the same size",
    () => {
      copyFileSync(input(), work.path("new"));
      renameSync(work.path("new"), input());
    },
    /^source-changed$/,
  ],
  // Before it is opened, or after.
  ["goes away", () => rmSync(input()), /^(source-open|file-failed)$/],
  ["grows", () => truncateSync(input(), statSync(input()).size + 1), /^source-changed$/],
])("an input that %s fails the merge and leaves nothing that looks whole", async (_, meddle, code) => {
  writeTinyModel(work.path("a"));
  // Clocks of file systems may tick every few milliseconds only.
  utimesSync(input(), DATE, DATE);
  expect(await mergeWhile(meddle)).toEqual([expect.stringMatching(code)]);
  expect((work.list("out") ?? []).filter((name) => !name.endsWith(".tmp"))).toEqual([]);
  rmSync(work.path("out"), { recursive: true, force: true });
});

function withDate(path: string, meddle: () => void): () => void {
  utimesSync(path, DATE, DATE);
  return () => {
    meddle();
    utimesSync(path, DATE, DATE);
  };
}

test("dates that are set back do not hide another file in the place of an input", async () => {
  writeTinyModel(work.path("a"));
  const replace = () => {
    copyFileSync(input(), work.path("new"));
    renameSync(work.path("new"), input());
  };
  expect(await mergeWhile(withDate(input(), replace))).toEqual(["source-changed"]);
  expect(work.list("out")).toBeUndefined();
});

test("dates that are set back do not hide that an input was written to: a warning, for it may be its rights only", async () => {
  writeTinyModel(work.path("a"));
  expect(await mergeWhile(withDate(input(), () => writeInto(input())))).toEqual(["source-touched"]);
});
