import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/paths.ts";
import { writeSafetensors } from "../support/safetensors.ts";
import { startIn } from "./start.ts";
import { writeTinyModels } from "./tiny-models.ts";

const ADDON_BUILT = existsSync(join(ROOT, "build", "Release", "sinter.node"));
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-terminal-"));
  writeTinyModels(folder);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A command in a shell, which may send its output anywhere. */
function shell(line: string) {
  const env = { ...process.env, SINTER_BUN: process.execPath, PATH: `${join(ROOT, "bin")}:${process.env.PATH}` };
  const { exitCode, stdout, stderr } = Bun.spawnSync(["bash", "-c", line], { cwd: folder, env, stdin: "ignore" });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

describe.skipIf(!existsSync("/dev/full"))("where output finds no room", () => {
  test.each(["sinter methods", "sinter --help", "sinter --version", "sinter merge --help"])(
    "%s says so in one line, and fails",
    (line) => {
      const { code, err } = shell(`${line} > /dev/full`);
      expect(code).toBe(1);
      expect(err).toMatch(/^error: cannot write to standard output: the disk is full\n {2}→ .*\n$/);
    },
  );

  test.skipIf(!ADDON_BUILT)("events that cannot be written stop a command before it begins", () => {
    const { code, err } = shell("sinter merge linear.yml ./no-events -q --events /dev/full");
    expect(code).toBe(1);
    expect(err).toMatch(/^error: cannot write the events: the disk is full \(file \/dev\/full\)\n {2}→ .*\n$/);
    expect(existsSync(join(folder, "no-events"))).toBe(false);
  });

  test.skipIf(!ADDON_BUILT)("a merge does not mind that nobody hears its messages", () => {
    expect(shell("sinter merge linear.yml ./unheard 2> /dev/full").code).toBe(0);
    expect(existsSync(join(folder, "unheard", "model.safetensors"))).toBe(true);
  });
});

// Controls in names of tensors are refused (test/end-to-end/hostile-names.test.ts), but not in those of folders.
test.skipIf(!ADDON_BUILT)("names that a terminal obeys are spelt out, in messages, tables, JSON and pages", () => {
  const name = "w.\u202Eright";
  for (const [i, model] of ["p", "q\u001B[31m"].entries()) {
    mkdirSync(join(folder, model));
    const bytes = new Uint8Array(new Float32Array([1, 2 + i]).buffer);
    const file = new Map([[name, { dtype: "F32" as const, shape: [2], bytes }]]);
    writeSafetensors(join(folder, model, "model.safetensors"), file);
  }
  const spelt = "w.\\u202eright";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  const obeyed = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202A-\u202E]/;
  const line = "sinter diff ./p ./q\u001B[31m --by tensor --html page.html";
  const { code, out, err } = startIn(folder, line);
  expect([code, obeyed.test(out), obeyed.test(err)]).toEqual([0, false, false]);
  expect(out).toContain(spelt);
  const page = readFileSync(join(folder, "page.html"), "utf8");
  expect([obeyed.test(page), page.includes("\\u001b[31m")]).toEqual([false, true]);
  const json = startIn(folder, "sinter diff ./p ./q\u001B[31m --json -q").out;
  expect(obeyed.test(json)).toBe(false);
  expect(JSON.parse(json).tensors[0].tensor).toBe(name);
  const refused = startIn(folder, "sinter inspect ./q\u001B[31m");
  expect(refused.err).toContain("q\\u001b[31m");
  expect(obeyed.test(refused.err)).toBe(false);
});
