import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { writeSafetensors } from "../support/safetensors.ts";
import { tinyConfig, tinyTensors, tinyTokenizer, writeTinyModel } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";

/** Clears the screen, sets the window's title, begins a line, turns the direction of text around. */
const STEERING = "\u001b[2J\u001b]0;title\u0007\nerror: not ours\r\u202e\u009b31m";
/** Whatever a terminal does more than show, but for the ends of lines. */
const CONTROLS = /[^\P{Cc}\n]|[\u202a-\u202e\u2066-\u2069]/u;
const MARKUP = "<script>alert(1)</script>\"'`$(touch pwned)|[x](javascript:1)";

const work = new Workplace();
afterAll(() => work.remove());

beforeAll(() => {
  const base = writeTinyModel(work.path("base"));
  for (const [seed, name] of ["a", "b"].entries()) {
    const tensors = writeTinyModel(work.path(name), { seed: 2 + seed, base });
    for (const own of [MARKUP, "constructor", "toString"]) {
      tensors.set(own, { dtype: "BF16", shape: [2], bytes: new Uint8Array(4) });
    }
    writeSafetensors(work.path(name, "model.safetensors"), tensors);
    const config = { ...tinyConfig(), model_type: STEERING, architectures: [STEERING], evil: STEERING };
    writeFileSync(work.path(name, "config.json"), JSON.stringify(config));
    const tokenizer = tinyTokenizer(38);
    tokenizer.model.vocab = { ...tokenizer.model.vocab, t3: 40, [STEERING]: 3 };
    writeFileSync(work.path(name, "tokenizer.json"), JSON.stringify(tokenizer));
    writeFileSync(
      work.path(name, "tokenizer_config.json"),
      JSON.stringify({ tokenizer_class: STEERING, eos_token: STEERING }),
    );
  }
});

/** In YAML, too, these characters stand only as escapes. */
const asYaml = (text: string) =>
  JSON.stringify(text).replace(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

const linear = (a: string, b: string) =>
  work.config(
    `merge_method: linear\nmodels:\n${[a, b].map((model) => `  - {model: ${asYaml(model)}, parameters: {weight: 1}}\n`).join("")}`,
  );

/** Runs it, and looks at what it says. */
async function said(...args: string[]): Promise<string> {
  const { stdout, stderr } = await work.run("sinter", args);
  const all = stdout + stderr;
  expect(all).not.toMatch(CONTROLS);
  expect(all).not.toMatch(/^error: not ours/m);
  expect(all).not.toContain("a fault in Sinter");
  return all;
}

describe("names from hostile files steer no terminal", () => {
  test("in plans, inspections, comparisons, warnings, summaries", async () => {
    const config = linear("./a", "./b");
    for (const args of [
      ["plan", config],
      ["inspect", "a"],
      ["inspect", "a", "--json"],
      ["diff", "a", "b"],
      ["diff", "base", "b"],
      ["tokens", "diff", "base", "b"],
      ["tokens", "diff", "a", "b"],
      ["merge", config, "out", "--json"],
      ["verify", "out"],
    ]) {
      expect((await said(...args)).length).toBeGreaterThan(0);
    }
  });

  test("in errors of headers, nor in what is said of models that are not there", async () => {
    const header = (text: string) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
      writeTinyModel(work.path("bad"));
      writeFileSync(work.path("bad", "model.safetensors"), Buffer.concat([bytes, Buffer.from(text)]));
    };
    header(JSON.stringify({ x: { dtype: STEERING, shape: [0], data_offsets: [0, 0] } }));
    expect(await said("plan", linear("./bad", "./b"))).toContain("unsupported dtype \\u001b[2J");
    header(JSON.stringify({ [STEERING]: { dtype: "F32", shape: [0], data_offsets: [0, 0] } }));
    expect(await said("plan", linear("./bad", "./b"))).toContain("a tensor's name holds control characters");
    expect(await said("plan", linear(STEERING, "./b"))).toContain("\\u000aerror: not ours");
  });
});

test("names from hostile files are text in pages and cards, and run nothing", async () => {
  const folder = `x\`\n---\nlicense: evil\n${MARKUP.replaceAll("/", "")}`;
  writeTinyModel(work.path("to be named"));
  renameSync(work.path("to be named"), work.path(folder));
  const { exitCode, stderr } = await work.run("sinter", [
    "merge",
    linear(`./${folder}`, "./base"),
    "marked",
    "--report",
    "page.html",
  ]);
  expect([exitCode, exitCode === 0 ? "" : stderr]).toEqual([0, ""]);
  const page = readFileSync(work.path("page.html"), "utf8");
  expect(page).not.toContain("<script>alert");
  const card = readFileSync(work.path("marked", "README.md"), "utf8");
  expect(card.split("## Configuration")[0]).not.toMatch(/^license: evil/m);
  expect(card).toContain("- `` ./x`\\u000a---\\u000alicense: evil");
  expect(work.list("pwned")).toBeUndefined();
});

test("a lone surrogate is no name", async () => {
  const tensors = tinyTensors();
  writeTinyModel(work.path("half"));
  writeSafetensors(
    work.path("half", "model.safetensors"),
    new Map([...tensors].map(([name, one]) => [name.replace("norm", "\ud800"), one])),
  );
  expect(await said("inspect", "half")).toContain("a tensor's name holds control characters");
});
