import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseMarkup } from "../report/well-formed.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";

const ROOT = resolve(import.meta.dir, "../..");
const ADDON_BUILT = existsSync(join(ROOT, "build", "Release", "sinter.node"));
const MODELS = "--models ./a ./b --base ./base --out scratch --no-sync";
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-bench-command-"));
  const base = writeTinyModel(join(folder, "base"));
  writeTinyModel(join(folder, "a"), { seed: 2, base });
  writeTinyModel(join(folder, "b"), { seed: 3, base });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const environment = { ...process.env, SINTER_BUN: process.execPath };
const command = (line: string) => [join(ROOT, "bin", "sinter"), "bench", ...line.split(" ").filter(Boolean)];

function start(line: string) {
  const result = Bun.spawnSync(command(line), { cwd: folder, env: environment, stdin: "ignore" });
  return { code: result.exitCode, out: result.stdout.toString(), err: result.stderr.toString() };
}

test.each([
  ["", "Missing option --models"],
  ["--models", "option --models requires a value"],
  ["--models ./a --repeat 0", "0 is below 1"],
  ["--models ./a --density much", '"much" is not a number'],
  ["--models ./a --set density", "parameter=value"],
  ["--models ./a --dtype int8", '"int8" is no dtype'],
  ["--models ./a --device tpu", '"tpu" is no device'],
  ["./a ./b", "Got unexpected extra arguments"],
])("sinter bench %s is a mistake of usage", (line, message) => {
  const { code, out, err } = start(line);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain(message);
});

test("unknown methods and values are named together, with the nearest", () => {
  const { code, err } = start("--models ./a ./b --methods tise,linear --set dare_ties.densty=1");
  expect(code).toBe(1);
  expect(err).toContain('unknown merge method "tise"');
  expect(err).toContain("did you mean ties?");
  expect(err).toContain("did you mean density?");
});

test("a page that cannot be written is known before anything is measured", () => {
  mkdirSync(join(folder, "taken"), { recursive: true });
  expect(start(`${MODELS} --html nowhere/page.html`).err).toContain("cannot write the page: no such file or folder");
  expect(start(`${MODELS} --html taken`).err).toContain("cannot write the page: it is a folder");
});

describe.skipIf(!ADDON_BUILT)("with the addon", () => {
  test("the table is on standard output, and what is done on standard error", () => {
    const { code, out, err } = start(`${MODELS} --methods linear,ties slerp`);
    expect(code).toBe(0);
    expect(out).toMatch(/^linear +\d/m);
    expect(out).toMatch(/^ties +\d/m);
    expect(out).toContain("  slerp: merges 1 model besides the base, not 2");
    expect(err).toContain("linear (1 of 2)\n");
    expect(existsSync(join(folder, "scratch"))).toBe(false);
  });

  test("--json is the only output, and its recipes are configurations that merge takes", () => {
    const { code, out, err } = start(`${MODELS} --methods ties --density 0.25 --quiet --json`);
    expect([code, err]).toEqual([0, ""]);
    const { methods, models } = JSON.parse(out);
    expect(models.map(({ model }: { model: string }) => model)).toEqual(["./a", "./b"]);
    expect(methods[0].recipe.models[0].parameters).toEqual({ weight: 0.5, density: 0.25 });
    writeFileSync(join(folder, "recipe.yml"), JSON.stringify(methods[0].recipe));
    const plan = Bun.spawnSync([join(ROOT, "bin", "sinter"), "plan", "recipe.yml", "--strict"], {
      cwd: folder,
      env: environment,
    });
    expect([plan.exitCode, plan.stderr.toString()]).toEqual([0, ""]);
  });

  test("--html writes a well-formed page", () => {
    const { code, err } = start(`${MODELS} --methods linear --html page.html`);
    expect(code).toBe(0);
    expect(err).toContain(`${join(folder, "page.html")} has the charts`);
    parseMarkup(readFileSync(join(folder, "page.html"), "utf8"));
  });

  test("what is wrong with the models is an error, and no folder is made", () => {
    const { code, err } = start("--models ./a ./nowhere --out scratch");
    expect(code).toBe(1);
    expect(err).toContain('there is no folder "./nowhere"');
    expect(existsSync(join(folder, "scratch"))).toBe(false);
  });

  test("Ctrl-C removes what was written", async () => {
    const running = Bun.spawn(command(`${MODELS} --methods linear --repeat 1000`), {
      cwd: folder,
      env: environment,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    const reader = running.stderr.getReader();
    const decoder = new TextDecoder();
    let text = "";
    while (!text.includes("run 2 of")) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
    expect(readdirSync(join(folder, "scratch"))).toHaveLength(1);
    running.kill("SIGINT");
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += decoder.decode(next.value);
    expect(await running.exited).toBe(130);
    expect(text).toContain("stopped by SIGINT");
    expect(existsSync(join(folder, "scratch"))).toBe(false);
  });
});
