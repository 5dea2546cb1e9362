import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readSafetensors } from "../support/safetensors.ts";
import { startIn } from "./start.ts";
import { linear, writeTinyModels } from "./tiny-models.ts";

const ROOT = resolve(import.meta.dir, "../..");
const ADDON_BUILT = existsSync(join(ROOT, "build", "Release", "sinter.node"));
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-merge-"));
  writeTinyModels(folder);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const start = (line: string) => startIn(folder, line);

describe("sinter plan", () => {
  test("prints tensors, files, bytes and memory, and makes nothing", () => {
    const { code, out } = start("sinter plan linear.yml planned");
    expect(code).toBe(0);
    for (const row of ["method   linear", "read ", "write ", "memory   at most", "model.safetensors"]) {
      expect(out).toContain(row);
    }
    expect(existsSync(join(folder, "planned"))).toBe(false);
  });

  test("--ops lists every tensor with where it comes from", () => {
    const { out } = start("sinter plan linear.yml --ops");
    expect(out).toMatch(/^ {2}model\.embed_tokens\.weight {2}BF16 \[.*\] {2}at \d+ {2}linear /m);
    expect(out).toContain("    ./b: model.embed_tokens.weight  BF16 [");
  });

  test("--json is one value with the ops, the files and the memory", () => {
    const plan = JSON.parse(start("sinter plan linear.yml --json").out);
    expect(plan.ops).toHaveLength(plan.totals.tensors);
    expect(plan.shards[0].file).toBe("model.safetensors");
    expect(plan.peakMemory).toBeLessThan(300e6);
  });

  test("an output folder that is refused is an error below the plan", () => {
    const { code, out, err } = start("sinter plan linear.yml ./a/inside");
    expect(code).toBe(1);
    expect(out).toContain("method   linear");
    expect(err).toContain("lies inside an input model");
  });
});

test("a merge that is refused makes no folder and reports everything at once", () => {
  writeFileSync(join(folder, "missing.yml"), linear("./nowhere").replace("linear", "linaer"));
  const { code, err } = start("sinter merge missing.yml refused");
  expect(code).toBe(1);
  expect(err.match(/^error: missing\.yml:\d+:\d+: /gm)).toHaveLength(2);
  expect(err).toEndWith("2 errors\n");
  expect(existsSync(join(folder, "refused"))).toBe(false);
});

describe.skipIf(!ADDON_BUILT)("with the addon", () => {
  test("sinter merge writes the model and a summary", () => {
    const { code, out, err } = start("sinter merge linear.yml merged");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toStartWith(`${join(folder, "merged")}: `);
    for (const tensor of readSafetensors(join(folder, "merged", "model.safetensors")).tensors.values()) {
      expect(new Set(new Uint16Array(Uint8Array.from(tensor.bytes).buffer))).toEqual(new Set([0x4000]));
    }
  });

  test("a folder that holds a model is replaced with --force only, by mergekit-yaml always", () => {
    expect(start("sinter merge linear.yml held").code).toBe(0);
    const refused = start("sinter merge linear.yml held");
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("--force");
    expect(start("sinter merge linear.yml held --force --out-shard-size 100").code).toBe(0);
    expect(readdirSync(join(folder, "held"))).not.toContain("model.safetensors");
    expect(start("mergekit-yaml linear.yml held").code).toBe(0);
    expect(readdirSync(join(folder, "held"))).toContain("model.safetensors");
    expect(readdirSync(join(folder, "held"))).not.toContain("model.safetensors.index.json");
  });

  test("--json prints the summary and nothing else on standard output", () => {
    const summary = JSON.parse(start("sinter merge linear.yml json --json --no-write-model-card").out);
    expect(summary).toMatchObject({ folder: join(folder, "json"), method: "linear", files: ["model.safetensors"] });
    expect(readdirSync(join(folder, "json"))).not.toContain("README.md");
  });

  test("--quiet prints nothing", () => {
    expect(start("mergekit-yaml linear.yml quiet --quiet")).toEqual({ code: 0, out: "", err: "" });
  });

  test("mergekit-yaml -v prints the plan first", () => {
    expect(start("mergekit-yaml -v linear.yml verbose").err).toContain("method   linear");
  });

  test("every number of threads and every instruction set gives the same bytes", () => {
    const runs = ["-j 1", "--threads 3", "--cpu-target auto", "--no-sync"];
    const outputs = runs.map((options, i) => {
      expect(start(`sinter merge linear.yml same-${i} ${options} --no-write-model-card -q`).code).toBe(0);
      const file = Bun.file(join(folder, `same-${i}`, "sinter_manifest.json"));
      return file.text();
    });
    return Promise.all(outputs).then((texts) => expect(new Set(texts).size).toBe(1));
  });

  test("an instruction set of another kind of CPU is refused by name", () => {
    const foreign = process.arch === "x64" ? "arm64" : "x86-64-v3";
    const { code, err } = start(`sinter merge linear.yml foreign --cpu-target ${foreign}`);
    expect(code).toBe(1);
    expect(err).toContain(`this CPU does not run ${foreign}`);
    expect(existsSync(join(folder, "foreign"))).toBe(false);
  });
});

test("with --json a program reads what is wrong on standard output, people on standard error", () => {
  writeFileSync(join(folder, "tise.yml"), "merge_method: tise\nmodels: [{model: ./a}]\n");
  for (const line of ["merge tise.yml refused", "plan tise.yml", "methods tise", "inspect ./nowhere"]) {
    const { code, out, err } = start(`sinter ${line} --json`);
    const { problems } = JSON.parse(out);
    expect([line, code, problems.length]).toEqual([line, 1, 1]);
    expect(err).toContain(problems[0].message);
  }
  // Where events have standard output, they say it.
  const lines = start("sinter merge tise.yml refused -q --events -").out.trim().split("\n");
  expect(JSON.parse(lines.at(-1) ?? "").problems[0].code).toBe("unknown-method");
});

test("what a redirected output holds already stays there", () => {
  const env = { ...process.env, SINTER_BUN: process.execPath, BIN: join(ROOT, "bin") };
  for (const flag of ["--quiet", "--json", "--force"]) {
    const script = `(echo before; "$BIN/sinter" merge linear.yml logged --force ${flag}) > log.txt`;
    expect(Bun.spawnSync(["sh", "-c", script], { cwd: folder, env, stderr: "ignore" }).exitCode).toBe(0);
    expect(readFileSync(join(folder, "log.txt"), "utf8")).toStartWith("before\n");
  }
});
