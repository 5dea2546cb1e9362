import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { readOutput } from "../conformance/output.ts";
import { encode } from "../oracle/dtype.ts";
import { tinyTensors, writeTinyModel, writeWeights } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";
import { expectAllMerged, type Recipe } from "./values.ts";

const work = new Workplace();
afterAll(() => {
  chmodSync(work.path("read-only"), 0o755);
  work.remove();
});
const a = writeTinyModel(work.path("a"), { seed: 1 });
const b = writeTinyModel(work.path("b"), { seed: 2, base: a });
const half: Recipe = { kernel: "linear", params: () => [0.5, 0.5], dtype: "BF16" };

const linear = (first: string, second: string, end = "") =>
  work.config(
    `merge_method: linear\nmodels:\n  - {model: ${first}, parameters: {weight: 1}}\n  - {model: ${second}, parameters: {weight: 1}}\n${end}`,
  );

async function succeed(config: string, out: string, env: Record<string, string> = {}, ...options: string[]) {
  const { exitCode, stderr } = await work.run("sinter", ["merge", config, out, ...options], env);
  expect([exitCode, stderr]).toEqual([0, expect.not.stringContaining("error:")]);
  return { ...readOutput(work.path(out)), stderr };
}

test("a read-only folder is read and not touched", async () => {
  cpSync(work.path("a"), work.path("read-only"), { recursive: true });
  for (const name of readdirSync(work.path("read-only"))) chmodSync(work.path("read-only", name), 0o444);
  chmodSync(work.path("read-only"), 0o555);
  const before = readFileSync(work.path("read-only", "model.safetensors"));
  expectAllMerged((await succeed(linear("./read-only", "./b"), "out-read-only")).tensors, half, [a, b]);
  expect(readFileSync(work.path("read-only", "model.safetensors"))).toEqual(before);
});

describe("the Hugging Face cache", () => {
  // As huggingface_hub lays it out: blobs by hash, and snapshots of links to them.
  const cache = (root: string, revision: string) => {
    const repo = join(root, "models--org--tiny");
    const snapshot = join(repo, "snapshots", revision);
    for (const folder of ["blobs", "refs", `snapshots/${revision}`]) mkdirSync(join(repo, folder), { recursive: true });
    writeFileSync(join(repo, "refs", "main"), revision);
    cpSync(work.path("a"), join(repo, "blobs"), { recursive: true });
    for (const name of readdirSync(work.path("a"))) {
      renameSync(join(repo, "blobs", name), join(repo, "blobs", `${name.length}${name.replace(/\W/g, "")}`));
      symlinkSync(join("..", "..", "blobs", `${name.length}${name.replace(/\W/g, "")}`), join(snapshot, name));
    }
  };
  cache(work.path("hub"), "0123456789abcdef0123456789abcdef01234567");
  cache(work.path("home", "hub"), "0123456789abcdef0123456789abcdef01234567");

  test.each([
    ["HF_HUB_CACHE", "hub"],
    ["HF_HOME", "home"],
  ])("is found by %s, and its links are followed", async (variable, folder) => {
    const env = { HF_HOME: "", HF_HUB_CACHE: "", [variable]: work.path(folder) };
    for (const [i, name] of [
      "org/tiny",
      "org/tiny@main",
      "org/tiny@0123456789abcdef0123456789abcdef01234567",
    ].entries()) {
      const { tensors } = await succeed(linear(name, "./b"), `out-${variable}-${i}`, env);
      expectAllMerged(tensors, half, [a, b]);
    }
  });

  test("is found by --transformers-cache", async () => {
    const env = { HF_HOME: work.path("nowhere"), HF_HUB_CACHE: "" };
    const options = ["--transformers-cache", work.path("hub")];
    expectAllMerged((await succeed(linear("org/tiny", "./b"), "out-cache", env, ...options)).tensors, half, [a, b]);
  });

  test("that lacks a model or a revision is an error that names it", async () => {
    const env = { HF_HOME: "", HF_HUB_CACHE: work.path("hub"), HF_HUB_OFFLINE: "1" };
    for (const name of ["org/other", "org/tiny@v2"]) {
      const { exitCode, stderr } = await work.run("sinter", ["merge", linear(name, "./b"), "out-none"], env);
      expect([exitCode, stderr]).toEqual([1, expect.stringContaining(name.split("@").at(-1) as string)]);
      expect(work.list("out-none")).toBeUndefined();
    }
  });
});

test("dtypes may differ within a merge", async () => {
  const dtypes = ["F64", "F32", "F16", "BF16"] as const;
  const models = dtypes.map((dtype, i) => writeTinyModel(work.path(dtype), { seed: 10 + i, base: a, dtype }));
  const list = dtypes.map((dtype) => `  - {model: ./${dtype}, parameters: {weight: 0.25}}`).join("\n");
  for (const [dtype, name] of [
    ["F32", "float32"],
    ["F64", "float64"],
  ] as const) {
    const config = work.config(`merge_method: linear\nmodels:\n${list}\ndtype: ${name}\n`);
    const recipe: Recipe = { kernel: "linear", params: () => Array(4).fill(0.25), dtype };
    expectAllMerged((await succeed(config, `out-${name}`)).tensors, recipe, models);
  }
});

test("a tensor at an odd offset is read as well as any", async () => {
  for (const padding of [1, 2, 3, 5]) {
    const odd = writeTinyModel(work.path(`odd-${padding}`), { seed: 20 + padding }, { padding });
    const { tensors } = await succeed(linear(`./odd-${padding}`, "./b"), `out-odd-${padding}`);
    expectAllMerged(tensors, half, [odd, b]);
  }
});

test("a model as a mapping, with a name of its own", async () => {
  const config = linear("{model: {path: ./a}, override_architecture: Qwen2ForCausalLM}", "{path: ./b}");
  expectAllMerged((await succeed(config, "out-mapping")).tensors, half, [a, b]);
});

describe("NaN and infinity", () => {
  const spoiled = tinyTensors({ seed: 1 });
  const name = "model.layers.1.mlp.up_proj.weight";
  spoiled.set(name, { dtype: "BF16", shape: [24, 16], bytes: encode([Number.NaN, ...Array(383).fill(1)], "BF16") });
  cpSync(work.path("a"), work.path("nan"), { recursive: true });
  writeWeights(work.path("nan"), spoiled);

  test("are a warning that names the tensor and the model", async () => {
    const { stderr, tensors } = await succeed(linear("./nan", "./b"), "out-nan");
    expect(stderr).toContain("warning:");
    expect(stderr).toContain(name);
    expect(stderr).toContain("./nan");
    expectAllMerged(tensors, half, [spoiled, b]);
  });

  test("stop with --nan error, and leave no model", async () => {
    const { exitCode, stderr } = await work.merge(linear("./nan", "./b"), "out-nan-error", "--nan", "error");
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(name)]);
    expect(work.list("out-nan-error")?.filter((file) => !file.endsWith(".tmp")) ?? []).toEqual([]);
  });

  test("are nothing to speak of with --nan ignore", async () => {
    expect((await succeed(linear("./nan", "./b"), "out-nan-ignore", {}, "--nan", "ignore")).stderr).not.toContain(name);
  });
});
