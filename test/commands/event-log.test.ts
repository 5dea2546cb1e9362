import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { eventLog } from "../../src/commands/event-log.ts";
import { writeTinyModels } from "./tiny-models.ts";

const ROOT = resolve(import.meta.dir, "../..");
const ADDON_BUILT = existsSync(join(ROOT, "build", "Release", "sinter.node"));
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-events-"));
  writeTinyModels(folder);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function merge(...args: string[]) {
  const env = { ...process.env, SINTER_BUN: process.execPath };
  const result = Bun.spawnSync([join(ROOT, "bin", "sinter"), "merge", ...args], { cwd: folder, env, stdin: "ignore" });
  return { code: result.exitCode, out: result.stdout.toString(), err: result.stderr.toString() };
}

const parse = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

/** A log that writes to `lines`, and what time it is. */
function log() {
  const lines: string[] = [];
  const clock = { ms: 0 };
  const { log, end } = eventLog(
    (line) => lines.push(line),
    false,
    () => clock.ms,
  );
  return { clock, log, end, events: () => parse(lines.join("")) };
}

const at = (bytes: number) => ({ bytes, totalBytes: 1000, earlierBytes: 200, item: "w", waiting: undefined });

test("a phase begins with an event, and its rate and time left count bytes that were moved in it", () => {
  const { clock, log: events, events: written } = log();
  clock.ms = 5000;
  events.progress("merging", at(200));
  clock.ms = 7000;
  events.progress("merging", at(600));
  expect(written()).toEqual([
    { event: "phase", seconds: 5, phase: "merging", bytes_total: 1000 },
    expect.objectContaining({ event: "progress", bytes: 200, bytes_per_second: null, seconds_left: null }),
    {
      event: "progress",
      seconds: 7,
      phase: "merging",
      bytes: 600,
      bytes_total: 1000,
      bytes_earlier: 200,
      bytes_per_second: 200,
      seconds_left: 2,
      item: "w",
    },
  ]);
});

test("there are at most ten events of progress a second, and the last one is among them", () => {
  const { clock, log: events, events: written } = log();
  for (let ms = 0; ms <= 1000; ms++) {
    clock.ms = ms;
    events.progress("merging", at(Math.min(1000, ms + 1)));
  }
  const progress = written().filter(({ event }) => event === "progress");
  expect(progress.length).toBeLessThanOrEqual(12);
  expect(progress.at(-1).bytes).toBe(1000);
});

test.skipIf(!ADDON_BUILT)("a merge tells its phases, its plan and its summary, one object a line", () => {
  const { code, out, err } = merge("linear.yml", "told", "-q", "--events", "-");
  expect([code, err]).toEqual([0, ""]);
  const events = parse(out);
  expect(events[0]).toMatchObject({ event: "start", format: 1 });
  expect(events.map(({ event, phase }) => phase ?? event)).toEqual(
    expect.arrayContaining(["start", "planning", "plan", "merging", "done"]),
  );
  expect(events.find(({ event }) => event === "plan")).toMatchObject({
    method: "linear",
    files: ["model.safetensors"],
  });
  const last = events.filter(({ event, phase }) => event === "progress" && phase === "merging").at(-1);
  expect(last.bytes).toBe(last.bytes_total);
  expect(events.at(-1)).toMatchObject({ event: "done", summary: { folder: join(folder, "told"), method: "linear" } });
  expect(events.every((event, i) => i === 0 || event.seconds >= events[i - 1].seconds)).toBe(true);
});

test("a merge that is refused ends with its problems and its exit code, in a file beside --json", () => {
  const { code } = merge("missing.yml", "refused", "--json", "--events", "events.jsonl");
  const events = parse(readFileSync(join(folder, "events.jsonl"), "utf8"));
  expect(events.at(-1)).toMatchObject({ event: "error", exit_code: code });
  expect(events.at(-1).problems[0].message).toBeString();
});

test("standard output cannot have both the events and the summary", () => {
  const { code, err } = merge("linear.yml", "both", "--json", "--events", "-");
  expect(code).toBe(2);
  expect(err).toContain("both want standard output");
});
