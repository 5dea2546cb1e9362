import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { readOutput } from "../conformance/output.ts";
import type { StoredTensor } from "../support/safetensors.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";
import { expectAllMerged, expectMerged, type Recipe } from "./values.ts";

const work = new Workplace();
afterAll(() => work.remove());

type Model = Map<string, StoredTensor>;
const base = writeTinyModel(work.path("base"), { seed: 1 });
const a = writeTinyModel(work.path("a"), { seed: 2, base }, { shards: 3, padding: 1 });
const b = writeTinyModel(work.path("b"), { seed: 3, base, dtype: "F32" });
const own = writeTinyModel(work.path("own"), { seed: 4, base, tied: false });

/** Both programs do the same; which one a test takes is its number's turn. */
let turn = 0;
async function merged(text: string, ...options: string[]) {
  const out = `out-${++turn}`;
  const config = work.config(text);
  const program = turn % 2 === 0 ? "mergekit-yaml" : "sinter";
  const args = program === "sinter" ? ["merge", config, out] : [config, out];
  const { exitCode, stderr } = await work.run(program, [...args, ...options]);
  expect([exitCode, stderr.includes("error:")]).toEqual([0, false]);
  return { ...readOutput(work.path(out)), stderr };
}

const models = (...names: string[]) =>
  names.map((name) => `  - {model: ./${name}, parameters: {weight: 0.5, density: 0.4}}`).join("\n");

describe("every method, from YAML to a folder", () => {
  const half = (count: number) => Math.trunc(0.4 * count);
  const cases: [string, string, Recipe, readonly Model[]][] = [
    ["passthrough", "models: [{model: ./a}]", { kernel: "linear", params: () => [1], dtype: "F32" }, [a]],
    ["linear", `models:\n${models("a", "b")}`, { kernel: "linear", params: () => [0.5, 0.5], dtype: "F32" }, [a, b]],
    [
      "slerp",
      "base_model: ./b\nmodels: [{model: ./a}, {model: ./b}]\nparameters: {t: 0.25}",
      { kernel: "slerp", params: () => [0.25], dtype: "F32" },
      [b, a],
    ],
    [
      "task_arithmetic",
      `base_model: ./base\nmodels:\n${models("a", "b")}\nparameters: {lambda: 0.8}`,
      { kernel: "task_arithmetic", params: () => [0.8, 0, 0, 0.5, -1, 0.5, -1], dtype: "F32" },
      [base, a, b],
    ],
    [
      "ties",
      `base_model: ./base\nmodels:\n${models("a", "b")}`,
      { kernel: "ties", params: (count) => [1, 1, 0, 0.5, half(count), 0.5, half(count)], dtype: "F32" },
      [base, a, b],
    ],
  ];
  test.each(cases)("%s", async (method, body, recipe, inputs) => {
    const { tensors } = await merged(`merge_method: ${method}\n${body}\ndtype: float32\n`);
    expectAllMerged(tensors, recipe, inputs);
  });

  test.each(["dare_linear", "dare_ties"])("%s, whose seed decides every byte", async (method) => {
    const text = `merge_method: ${method}\nbase_model: ./base\nmodels:\n${models("a", "b")}\n`;
    const [first, again, other] = await Promise.all([merged(text), merged(text), merged(text, "--random-seed", "7")]);
    const embedding = ({ tensors }: typeof first) => tensors.get("model.embed_tokens.weight")?.bytes;
    expect(embedding(again)).toEqual(embedding(first) as Uint8Array);
    expect(embedding(other)).not.toEqual(embedding(first) as Uint8Array);
  });
});

describe("the output head", () => {
  const linear: Recipe = { kernel: "linear", params: () => [0.5, 0.5], dtype: "BF16" };
  const recipe = (...names: string[]) => `merge_method: linear\nmodels:\n${models(...names)}\ndtype: bfloat16\n`;

  test("stays tied where every input is tied", async () => {
    const { tensors, config } = await merged(recipe("a", "base"));
    expect(config?.tie_word_embeddings).toBe(true);
    expect(tensors.has("lm_head.weight")).toBe(false);
    expectAllMerged(tensors, linear, [a, base]);
  });

  test("is stored where every input stores one", async () => {
    const { tensors, config } = await merged("merge_method: passthrough\nmodels: [{model: ./own}]\n");
    expect(config?.tie_word_embeddings).toBe(false);
    expectAllMerged(tensors, { kernel: "linear", params: () => [1], dtype: "BF16" }, [own]);
  });

  test.each([
    ["a", "own"],
    ["own", "a"],
  ] as const)("is stored where one input stores one: %s and %s", async (first, second) => {
    const names = [first, second];
    const { tensors, config } = await merged(recipe(...names));
    expect(config?.tie_word_embeddings).toBe(false);
    const inputs = names.map((name) => (name === "a" ? a.get("model.embed_tokens.weight") : own.get("lm_head.weight")));
    expectMerged("lm_head.weight", tensors.get("lm_head.weight"), linear, inputs);
    expect(tensors.size).toBe(own.size);
  });

  test("is stored twice where that is asked for, and not at all where it is not wanted", async () => {
    const config = work.config(recipe("a", "base"));
    expect((await work.merge(config, "materialized", "--lm-head", "materialize")).exitCode).toBe(0);
    const { tensors } = readOutput(work.path("materialized"));
    expect(tensors.get("lm_head.weight")?.bytes).toEqual(tensors.get("model.embed_tokens.weight")?.bytes as Uint8Array);
    const mixed = work.config(recipe("a", "own"));
    expect((await work.merge(mixed, "tied", "--lm-head", "tied")).exitCode).toBe(0);
    const tied = readOutput(work.path("tied"));
    expect([tied.tensors.has("lm_head.weight"), tied.config?.tie_word_embeddings]).toEqual([false, true]);
  });
});

describe("layers", () => {
  test("of one model stack, and config.json's lists follow", async () => {
    const { tensors, config } = await merged(
      "merge_method: passthrough\nslices:\n  - sources: [{model: ./a, layer_range: [0, 2]}]\n  - sources: [{model: ./a, layer_range: [1, 2]}]\n",
    );
    expect([config?.num_hidden_layers, config?.layer_types]).toEqual([3, Array(3).fill("full_attention")]);
    for (const [ours, theirs] of [
      [0, 0],
      [1, 1],
      [2, 1],
    ] as const) {
      const name = (layer: number) => `model.layers.${layer}.self_attn.q_proj.weight`;
      expect(tensors.get(name(ours))?.bytes).toEqual(a.get(name(theirs))?.bytes as Uint8Array);
    }
  });

  test("of the same model meet each other in one slice", async () => {
    const { tensors } = await merged(
      "merge_method: linear\nslices:\n  - sources:\n      - {model: ./a, layer_range: [0, 1], parameters: {weight: 3}}\n      - {model: ./a, layer_range: [1, 2], parameters: {weight: 1}}\n",
    );
    const name = (layer: number) => `model.layers.${layer}.mlp.up_proj.weight`;
    const recipe: Recipe = { kernel: "linear", params: () => [0.75, 0.25], dtype: "BF16" };
    expectMerged(name(0), tensors.get(name(0)), recipe, [a.get(name(0)), a.get(name(1))]);
    expect(tensors.has(name(1))).toBe(false);
  });

  test("take gradients and filters", async () => {
    const weight = "[{filter: mlp, value: [0, 1]}, {value: 0.5}]";
    const { tensors } = await merged(
      `merge_method: linear\nmodels:\n  - {model: ./a, parameters: {weight: ${weight}}}\n  - {model: ./base, parameters: {weight: 0.5}}\nparameters: {normalize: false}\n`,
    );
    const expectWeights = (name: string, ...weights: number[]) =>
      expectMerged(name, tensors.get(name), { kernel: "linear", params: () => weights, dtype: "BF16" }, [
        a.get(name),
        base.get(name),
      ]);
    expectWeights("model.layers.0.mlp.up_proj.weight", 0, 0.5);
    expectWeights("model.layers.1.mlp.up_proj.weight", 1, 0.5);
    expectWeights("model.layers.1.self_attn.q_proj.weight", 0.5, 0.5);
  });
});

test("the same model twice in one list counts twice", async () => {
  const { tensors } = await merged(`merge_method: linear\nmodels:\n${models("a", "a", "base")}\n`);
  expectAllMerged(tensors, { kernel: "linear", params: () => [1 / 3, 1 / 3, 1 / 3], dtype: "BF16" }, [a, a, base]);
});

test("out_dtype narrows once, at the end", async () => {
  const text = `merge_method: linear\nmodels:\n${models("a", "b")}\ndtype: float32\nout_dtype: float16\n`;
  const { tensors, config } = await merged(text);
  expect(config?.torch_dtype ?? config?.dtype).toBe("float16");
  expectAllMerged(tensors, { kernel: "linear", params: () => [0.5, 0.5], dtype: "F16" }, [a, b]);
});

describe("vocabularies of different sizes", () => {
  writeTinyModel(work.path("larger"), { seed: 5, vocab: 48 });

  test("share their first rows, with a warning that names both", async () => {
    const { tensors, config, stderr } = await merged(`merge_method: linear\nmodels:\n${models("a", "larger")}\n`);
    expect(config?.vocab_size).toBe(40);
    expect(tensors.get("model.embed_tokens.weight")?.shape).toEqual([40, 16]);
    expect(stderr).toMatch(/warning:.*40.*48/s);
  });

  test("are an error where the tokenizer needs more rows", async () => {
    const config = work.config(`merge_method: linear\nmodels:\n${models("larger", "a")}\n`);
    const { exitCode, stderr } = await work.merge(config, "too-few-rows");
    expect(exitCode).toBe(1);
    expect(stderr).toContain("tokenizer_source");
    expect(work.list("too-few-rows")).toBeUndefined();
  });
});

test("two runs write the same bytes, whatever the number of threads", async () => {
  const text = `merge_method: ties\nbase_model: ./base\nmodels:\n${models("a", "b")}\ndtype: bfloat16\n`;
  const config = work.config(text);
  const files: Buffer[] = [];
  for (const threads of ["1", "3"]) {
    await work.merge(config, `threads-${threads}`, "-j", threads);
    files.push(readFileSync(work.path(`threads-${threads}`, "model.safetensors")));
  }
  expect(files[1]).toEqual(files[0] as Buffer);
});
