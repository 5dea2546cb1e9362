import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { methods } from "../../src/methods/index.ts";

const BIN = resolve(import.meta.dir, "../../bin");
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-bin-"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Started {
  code: number;
  out: string;
  err: string;
}

/** No library for GPUs, whatever is built. */
const WITHOUT_LIBRARY = { SINTER_DEVICE_LIBRARY: "/nowhere/libsinter_cuda.so" };

/** Starts a script of bin/ (or another path) in the test's folder. */
function start(script: string, args: readonly string[], env: Record<string, string> = {}): Started {
  const path = script.includes("/") ? script : join(BIN, script);
  const result = Bun.spawnSync([path, ...args], {
    cwd: folder,
    env: { ...process.env, SINTER_BUN: process.execPath, ...env },
    stdin: "ignore",
  });
  return { code: result.exitCode, out: result.stdout.toString(), err: result.stderr.toString() };
}

test("sinter --version names the package's version", () => {
  expect(start("sinter", ["--version"])).toEqual({ code: 0, out: `sinter ${pkg.version}\n`, err: "" });
});

test("sinter --help lists every command, and each has help of its own", () => {
  const { out } = start("sinter", ["--help"]);
  for (const name of ["merge", "plan", "methods", "bench", "doctor"]) {
    expect(out).toContain(`  ${name} `);
    const help = start("sinter", [name, "--help"]);
    expect(help.code).toBe(0);
    expect(help.out).toStartWith(`Usage: sinter ${name} [OPTIONS]`);
    expect(help.out).toContain("Examples:");
  }
});

test.each([
  [["mrege"], "No such command: mrege", "did you mean merge?"],
  [["frobnicate"], "No such command: frobnicate", "the commands are merge, moe, plan, multi"],
  [["toString"], "No such command: toString", "the commands are"],
  [["--verison"], "No such option: --verison", "did you mean --version?"],
  [["merge", "c.yml", "out", "--fource"], "No such option: --fource", "did you mean --force?"],
  [["merge", "c.yml"], "Missing argument OUT", ""],
  [["merge", "c.yml", "out", "--out-shard-size", "5P"], '"5P" is not a size', "5G, 500M"],
  [["merge", "c.yml", "out", "--device", "tpu9"], '"tpu9" is no device', "use auto, cpu, cuda or cuda:N"],
  [["doctor", "now"], "Got unexpected extra argument: now", ""],
])("sinter %j is a mistake of usage", (args, message, hint) => {
  const { code, out, err } = start("sinter", args);
  expect(code).toBe(2);
  expect(out).toBe("");
  expect(err).toContain("error: ");
  expect(err).toContain(message);
  expect(err).toContain(hint);
});

test("sinter alone shows the help as a mistake", () => {
  const { code, out, err } = start("sinter", []);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toStartWith("Usage: sinter COMMAND");
});

test.each([
  [["--bogus", "c.yml", "out"], "No such option: --bogus"],
  [["--copy-tokeniser", "c.yml", "out"], "did you mean --copy-tokenizer?"],
  [["c.yml"], "Missing argument OUT_PATH"],
  [["c.yml", "out", "more"], "Got unexpected extra argument: more"],
  [["c.yml", "out", "--num-threads"], "requires a value"],
  [["c.yml", "out", "--out-shard-size", "five"], '"five" is not a size'],
])("mergekit-yaml %j is a mistake of usage", (args, message) => {
  const { code, err } = start("mergekit-yaml", args);
  expect(code).toBe(2);
  expect(err).toStartWith("Usage: mergekit-yaml [OPTIONS] CONFIG_FILE OUT_PATH\n");
  expect(err).toContain(message);
});

test.each([[["--cuda"]], [["--gpu-rich"]], [["--multi-gpu"]], [["--device", "cuda"]], [["--device=cuda:1"]]])(
  "mergekit-yaml %j without a library for GPUs says what is missing before any work",
  (args) => {
    const { code, err } = start("mergekit-yaml", [...args, "missing.yml", "out"], WITHOUT_LIBRARY);
    expect(code).toBe(1);
    expect(err).toContain("error: there is no library for CUDA devices");
    expect(err).not.toContain("missing.yml");
  },
);

test.each([
  ["mergekit-tokensurgeon", ["--cuda", "--multi-gpu", "--device", "cuda", "a", "b", "out"]],
  ["sinter", ["tokens", "transplant", "a", "b", "out", "--device", "cuda"]],
  ["sinter", ["bench", "--device", "cuda"]],
])("%s %j names every option that asks for a GPU where none is used", (program, args) => {
  const { code, err } = start(program, args);
  expect(code).toBe(1);
  expect(err.match(/asks for a GPU, which this command does not use/g)).toHaveLength(program === "sinter" ? 1 : 3);
});

test.each(["sinter", "mergekit-yaml"])("%s says that a configuration is missing, and makes no folder", (script) => {
  const args = script === "sinter" ? ["merge", "missing.yml", "out"] : ["missing.yml", "out"];
  const { code, err } = start(script, args);
  expect(code).toBe(1);
  expect(err).toContain("missing.yml does not exist");
  expect(readdirSync(folder)).not.toContain("out");
});

test("sinter plan --json gives the problems as JSON", () => {
  writeFileSync(join(folder, "bad.yml"), "merge_method: tise\nmodels:\n  - model: ./nowhere\n");
  const { code, out, err } = start("sinter", ["plan", "bad.yml", "--json"]);
  expect(code).toBe(1);
  const { problems } = JSON.parse(out);
  expect(problems.length).toBeGreaterThan(0);
  expect(problems[0]).toMatchObject({ code: "unknown-method", at: { file: "bad.yml", line: 1 } });
  expect(err).toContain("bad.yml:1:15: unknown merge method");
});

test("sinter methods lists every method, explains each, and knows near names", () => {
  const { out } = start("sinter", ["methods"]);
  for (const { name } of methods) expect(out).toMatch(new RegExp(`^${name} `, "m"));
  const ties = start("sinter", ["methods", "ties"]).out;
  for (const name of ["density", "weight", "lambda", "normalize", "int8_mask"]) expect(ties).toContain(`  ${name} `);
  const wrong = start("sinter", ["methods", "tise"]);
  expect(wrong.code).toBe(1);
  expect(wrong.err).toContain("did you mean ties?");
});

test("sinter methods --json is what the declarations say", () => {
  const listed = JSON.parse(start("sinter", ["methods", "--json"]).out);
  expect(listed.map(({ name }: { name: string }) => name)).toEqual(methods.map(({ name }) => name));
  expect(JSON.parse(start("sinter", ["methods", "slerp", "--json"]).out).parameters[0].name).toBe("t");
});

test("sinter doctor tells about the machine and ends well, with or without the addon", () => {
  const { code, out } = start("sinter", ["doctor"]);
  expect(code).toBe(0);
  for (const row of ["Sinter", "Bun", "CPU", "Memory", "GPU", "Addon"])
    expect(out).toMatch(new RegExp(`^${row} `, "m"));
  expect(JSON.parse(start("sinter", ["doctor", "--json"]).out).bun).toBe(Bun.version);
});

test("errors have no colour where standard error is no terminal", () => {
  expect(start("sinter", ["merge"]).err).not.toContain("\u001B");
});

test("a script is found through a chain of links, relative and absolute", () => {
  mkdirSync(join(folder, "links"), { recursive: true });
  symlinkSync(join(BIN, "sinter"), join(folder, "links", "absolute"));
  symlinkSync("../links/absolute", join(folder, "links", "relative"));
  expect(start("./links/relative", ["--version"]).out).toBe(`sinter ${pkg.version}\n`);
});

test("a script finds the bun on PATH", () => {
  const PATH = [dirname(process.execPath), "/usr/bin", "/bin"].join(delimiter);
  const bun = join(folder, "path", "bun");
  mkdirSync(dirname(bun));
  symlinkSync(process.execPath, bun);
  const env = { SINTER_BUN: "", PATH: [dirname(bun), PATH].join(delimiter) };
  expect(start("sinter", ["--version"], env).code).toBe(0);
});

test("without Bun one line says how to get it", () => {
  const copy = join(folder, "package", "bin");
  mkdirSync(copy, { recursive: true });
  for (const name of ["mergekit-yaml", "start.sh"]) copyFileSync(join(BIN, name), join(copy, name));
  const { code, err } = start(join(copy, "mergekit-yaml"), ["--help"], { SINTER_BUN: "", PATH: join(folder, "empty") });
  expect(code).toBe(127);
  expect(err).toMatch(/^mergekit-yaml: Bun is not installed\. .*npm install -g bun.*\n$/);
});

test("a script finds the Bun that came as a package of its own or of the package around it", () => {
  const around = join(folder, "around", "node_modules");
  const copy = join(around, "sinter", "bin");
  mkdirSync(copy, { recursive: true });
  for (const name of ["sinter", "start.sh"]) copyFileSync(join(BIN, name), join(copy, name));
  for (const place of [around, join(around, "sinter", "node_modules")]) {
    const bun = join(place, "@oven", "bun-test", "bin", "bun");
    mkdirSync(dirname(bun), { recursive: true });
    writeFileSync(bun, `#!/bin/sh\necho "${place} $*"\n`, { mode: 0o755 });
    const { out } = start(join(copy, "sinter"), ["plan"], { SINTER_BUN: "", PATH: join(folder, "empty") });
    expect(out).toStartWith(`${place} --config=/dev/null`);
    expect(out).toEndWith("/src/cli.ts plan\n");
  }
});

test("what lies in the user's folder neither runs nor changes anything", () => {
  const place = join(folder, "hostile");
  mkdirSync(place);
  writeFileSync(join(place, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
  writeFileSync(join(place, "evil.ts"), 'console.log("EVIL");\n');
  const result = Bun.spawnSync([join(BIN, "sinter"), "--version"], {
    cwd: place,
    env: { ...process.env, SINTER_BUN: process.execPath },
  });
  expect(result.stdout.toString()).toBe(`sinter ${pkg.version}\n`);
});

test.each([
  [[], "Missing option --model, --base-model, --out-path"],
  [["--model", "a", "--base-model", "b", "--out-path", "c", "--max-rank", "0"], "0 is below 1"],
  [["--exclude-regex", "["], "is no regular expression"],
  [["-i"], "option -i requires a value"],
])("mergekit-extract-lora %j is a mistake of usage", (args, message) => {
  const { code, err } = start("mergekit-extract-lora", args);
  expect(code).toBe(2);
  expect(err).toContain(message);
});

test.each([
  [["lora"], "Usage: sinter lora ACTION"],
  [["lora", "extrakt"], "did you mean extract?"],
  [["lora", "convert", "./base", "./out"], '"./base" names no adapter'],
  [["lora", "extract", "a", "b", "c", "--rank", "zero"], "neither auto nor a rank"],
])("sinter %j is a mistake of usage", (args, message) => {
  const { code, err } = start("sinter", args);
  expect(code).toBe(2);
  expect(err).toContain(message);
});
