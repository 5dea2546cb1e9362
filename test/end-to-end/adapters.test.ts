import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { factorShapes, someTensors, writeAdapter } from "../lora/peft.ts";
import { WORDS, writeWordTokenizer } from "../moe/word-tokenizer.ts";
import { HOST_LIBRARY } from "../native/host-device.ts";
import { readSafetensors, writeSafetensors } from "../support/safetensors.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";
import { valuesOf } from "./values.ts";

/** Wherever a model may be named with an adapter, it counts as the model with the adapter applied, in float32. */
const work = new Workplace();
afterAll(() => work.remove());

type Program = Parameters<Workplace["run"]>[0];

async function run(program: Program, ...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await work.run(program, args);
  expect([exitCode, stderr.match(/^error.*/m)?.[0]]).toEqual([0, undefined]);
  return stdout;
}

const bytes = (folder: string) => readFileSync(work.path(folder, "model.safetensors"));

/** Expects two folders to hold the same weights. */
function expectSame(a: string, b: string): void {
  const [first, second] = [a, b].map((folder) => readSafetensors(work.path(folder, "model.safetensors")).tensors);
  expect([...(first?.keys() ?? [])].sort()).toEqual([...(second?.keys() ?? [])].sort());
  for (const [name, tensor] of first ?? []) {
    expect({ name, values: valuesOf(tensor) }).toEqual({ name, values: valuesOf(second?.get(name)) });
  }
}

const VOCAB = 40;

/** Low-rank changes of all linear layers and of the embedding; `base`'s shapes. */
function writeChanges(folder: string, seed: number, config: Record<string, unknown> = {}): void {
  const { tensors } = readSafetensors(work.path("base", "model.safetensors"));
  const modules = [...tensors].filter(([name]) => name.endsWith("_proj.weight"));
  const shapes = factorShapes(
    Object.fromEntries(
      modules.map(([name, { shape }]) => [name.slice(0, -".weight".length), [shape[1] ?? 0, shape[0] ?? 0] as const]),
    ),
    4,
  );
  const embedding = {
    "model.embed_tokens.lora_embedding_A": [4, VOCAB],
    "model.embed_tokens.lora_embedding_B": [16, 4],
  };
  const dora =
    config.use_dora === true
      ? {
          ...Object.fromEntries(
            modules.map(([name, { shape }]) => [name.replace(".weight", ".lora_magnitude_vector"), [shape[0] ?? 0]]),
          ),
          "model.embed_tokens.lora_magnitude_vector": [16],
        }
      : {};
  writeAdapter(work.path(folder), config, someTensors({ ...shapes, ...embedding, ...dora }, seed, "F32", 0.2));
}

beforeAll(async () => {
  const base = writeTinyModel(work.path("base"));
  for (const [i, name] of ["a", "b"].entries()) writeTinyModel(work.path(name), { seed: 10 + i, base });
  for (const name of ["base", "a", "b"]) writeWordTokenizer(work.path(name));
  writeChanges("lora-1", 1);
  writeChanges("lora-2", 2, { use_dora: true });
  for (const [model, lora, out] of [
    ["base", "lora-1", "base-1"],
    ["base", "lora-2", "base-2"],
    ["a", "lora-1", "a-1"],
    ["b", "lora-2", "b-2"],
  ]) {
    await run("sinter", "lora", "convert", `${model}+${lora}`, out as string, "--dtype", "float32", "--quiet");
  }
  writeFileSync(work.path("text"), `${WORDS.slice(2).join(" ")} numbers and sums and all stories`);
});

test("sinter eval", async () => {
  const measured = async (model: string) =>
    JSON.parse(await run("sinter", "eval", "perplexity", model, "--text", "text", "--json"));
  for (const [named, applied] of [
    ["base+lora-1", "base-1"],
    ["base+lora-2", "base-2"],
  ] as const) {
    const { loss, perplexity } = await measured(named);
    expect(await measured(applied)).toMatchObject({ loss, perplexity });
    expect((await measured("base")).loss).not.toBe(loss);
  }
});

test("merge --check", async () => {
  const recipe = (models: string[]) =>
    `merge_method: linear\ndtype: float32\nmodels: [${models.map((model) => `{model: ./${model}, parameters: {weight: 1}}`)}]\n`;
  const rows = async (models: string[], out: string) => {
    const text = recipe(models);
    const summary = await run("sinter", "merge", work.config(text), out, "--check", "--json", "--quiet");
    return (JSON.parse(summary).check as { perplexity: number }[]).map(({ perplexity }) => perplexity);
  };
  const found = await rows(["base+./lora-1", "a+./lora-1"], "checked");
  expect(found).toEqual(await rows(["base-1", "a-1"], "checked-applied"));
  expect(found.every((one) => one > 1)).toBe(true);
});

test("merges on a GPU, rows by token among them: the CPU's bytes, and no tensor left to it", async () => {
  writeTinyModel(work.path("fewer"), { seed: 50, vocab: 12 });
  writeWordTokenizer(work.path("fewer"));
  const text = `merge_method: ties
base_model: ./base
tokenizer_source: union
dtype: bfloat16
models:
  - {model: "./a+./lora-1", parameters: {weight: 0.6, density: 0.5}}
  - {model: "./b+./lora-2", parameters: {weight: 0.4, density: 0.7}}
  - {model: ./fewer, parameters: {weight: 0.2, density: 0.7}}
`;
  const merged = async (out: string, ...options: string[]) => {
    const env = { SINTER_DEVICE_LIBRARY: HOST_LIBRARY };
    const { exitCode, stderr } = await work.run("sinter", ["merge", work.config(text), out, ...options, "-q"], env);
    expect([exitCode, stderr.match(/^error.*/m)?.[0]]).toEqual([0, undefined]);
    return JSON.parse(readFileSync(work.path(out, "sinter_manifest.json"), "utf8"));
  };
  const cpu = await merged("by-cpu", "--device", "cpu");
  const gpu = await merged("by-gpu", "--device", "cuda");
  expectSame("by-gpu", "by-cpu");
  expect(bytes("by-gpu").equals(bytes("by-cpu"))).toBe(true);
  expect(gpu.plan).toBe(cpu.plan);
  expect(Object.keys(gpu.computed_on)).toEqual(["cuda:0 (host memory 0)"]);
});

describe("mixtures of experts", () => {
  const recipe = (gate: string, models: string[]) => `base_model: ./${models[0]}
gate_mode: ${gate}
dtype: float32
experts:
  - {source_model: ./${models[1]}, positive_prompts: ["numbers", "numbers and sums"], negative_prompts: ["dragons"]}
  - {source_model: ./${models[2]}, positive_prompts: ["stories"]}
shared_experts: [{source_model: ./b, positive_prompts: ["all"], residual_scale: 0.5}]
`;
  const modes = ["cheap_embed", "hidden", "hidden_avg"].flatMap((gate) => [
    [gate, 1],
    [gate, 2],
  ]) as [string, number][];
  test.each(modes)("their base, experts and prompts: %s, adapter %d", async (gate, lora) => {
    const [out, applied] = [`moe-${gate}-${lora}`, `moe-${gate}-${lora}-applied`];
    const named = recipe(gate, [`base+./lora-${lora}`, "a+./lora-1", "b+./lora-2"]);
    await run("sinter", "moe", work.config(named), out, "--quiet");
    await run("sinter", "moe", work.config(recipe(gate, [`base-${lora}`, "a-1", "b-2"])), applied, "--quiet");
    expectSame(out, applied);
  });

  test("in a cache beforehand", async () => {
    const named = recipe("hidden_avg", ["base+./lora-1", "a+./lora-1", "b+./lora-2"]);
    await run("sinter", "moe", work.config(named), "moe-direct", "--quiet");
    const options = ["--lora-merge-cache", "moe-cache", "--lora-merge-dtype", "float32"];
    await run("mergekit-moe", work.config(named), "moe-cached", ...options);
    expect(work.list("moe-cache")).toHaveLength(3);
    expectSame("moe-cached", "moe-direct");
  });
});

test("a copy in the cache whose weights have not got their name, as a killed run leaves it, is made anew", async () => {
  const recipe = work.config("merge_method: passthrough\nmodels: [{model: base+./lora-1}]\n");
  const cached = (out: string) => run("sinter", "merge", recipe, out, "--lora-merge-cache", "cut-cache", "--quiet");
  await cached("from-cache");
  const [copy = ""] = work.list("cut-cache") ?? [];
  const left = work.path("cut-cache", copy);
  expect(readdirSync(left)).toContain("config.json");
  for (const name of readdirSync(left)) if (name !== "config.json") rmSync(join(left, name));
  await cached("from-cache-again");
  expect(bytes("from-cache-again").equals(bytes("from-cache"))).toBe(true);
});

test("merges by tensor names", async () => {
  const recipe = (first: string, second: string) =>
    `merge_method: linear\ndtype: float32\nmodels: [{model: ./${first}, parameters: {weight: 1}}, {model: ./${second}, parameters: {weight: 3}}]\n`;
  await run("sinter", "merge", "--raw", work.config(recipe("base+./lora-1", "b+./lora-2")), "raw", "--quiet");
  await run("sinter", "merge", "--raw", work.config(recipe("base-1", "b-2")), "raw-applied", "--quiet");
  expectSame("raw", "raw-applied");
  await run("sinter", "verify", "raw", "--recompute", "--quiet");
  // A single file, whose tensors no config.json explains.
  const single = recipe("base/model.safetensors+./lora-1", "b+./lora-2");
  await run("mergekit-pytorch", work.config(single), "raw-file");
  expect(bytes("raw-file").equals(bytes("raw"))).toBe(true);
  const options = ["--lora-merge-cache", "raw-cache", "--lora-merge-dtype", "float32"];
  await run("mergekit-pytorch", work.config(single), "raw-cached", ...options);
  expect(work.list("raw-cache")).toHaveLength(2);
  expectSame("raw-cached", "raw");
  expect(await run("sinter", "verify", "raw-cached")).toContain("adapters were applied in a cache beforehand");
});

test("filling a model up", async () => {
  const { tensors } = readSafetensors(work.path("base", "model.safetensors"));
  const part = new Map(
    [...tensors]
      .filter(([name]) => name.includes("layers.1."))
      .map(([name, tensor]) => [name.slice("model.".length), tensor]),
  );
  await run("sinter", "merge", work.config("merge_method: passthrough\nmodels: [{model: ./a}]\n"), "part", "--quiet");
  writeSafetensors(work.path("part", "model.safetensors"), part);
  const modules = {
    "layers.1.mlp.down_proj": [
      readSafetensors(work.path("part", "model.safetensors")).tensors.get("layers.1.mlp.down_proj.weight")?.shape[1] ??
        0,
      16,
    ] as const,
  };
  writeAdapter(work.path("part-lora"), {}, someTensors(factorShapes(modules, 4), 4, "F32", 0.2));
  await run("sinter", "fill", "base+lora-1", "part+part-lora", "filled", "--quiet");
  await run("sinter", "verify", "filled", "--recompute", "--quiet");
  const filled = readSafetensors(work.path("filled", "model.safetensors")).tensors;
  await run(
    "sinter",
    "merge",
    "--raw",
    work.config("merge_method: passthrough\nmodels: [{model: ./part+./part-lora}]\n"),
    "part-applied",
    "--quiet",
  );
  const own = readSafetensors(work.path("part-applied", "model.safetensors")).tensors;
  await run("sinter", "lora", "convert", "base+lora-1", "base-1-stored", "--quiet");
  const whole = readSafetensors(work.path("base-1-stored", "model.safetensors")).tensors;
  for (const [name, tensor] of filled) {
    expect(tensor.bytes).toEqual((own.get(name.slice("model.".length)) ?? whole.get(name))?.bytes as Uint8Array);
  }
  expect(own.get("layers.1.mlp.down_proj.weight")?.bytes).not.toEqual(
    tensors.get("model.layers.1.mlp.down_proj.weight")?.bytes as Uint8Array,
  );
});

describe("an adapter that adds tokens", () => {
  const ROWS = VOCAB + 3;
  const config = (folder: string) => JSON.parse(readFileSync(work.path(folder, "config.json"), "utf8"));
  const shape = (folder: string, name: string) =>
    readSafetensors(work.path(folder, "model.safetensors")).tensors.get(name)?.shape;

  beforeAll(() => {
    writeAdapter(work.path("grown"), {}, someTensors({ "model.embed_tokens.weight": [ROWS, 16] }, 5));
    writeFileSync(work.path("grown", "tokenizer.json"), readFileSync(work.path("base", "tokenizer.json")));
    writeFileSync(work.path("grown", "tokenizer_config.json"), '{"of": "the adapter"}');
  });

  test("is what config.json and tokenizer of a merge go by", async () => {
    const recipe = "merge_method: passthrough\ndtype: float32\nmodels: [{model: ./base+./grown}]\n";
    await run("sinter", "merge", work.config(recipe), "grown-merged", "--quiet");
    expect(config("grown-merged").vocab_size).toBe(ROWS);
    expect(shape("grown-merged", "model.embed_tokens.weight")).toEqual([ROWS, 16]);
    expect(readFileSync(work.path("grown-merged", "tokenizer_config.json"), "utf8")).toBe('{"of": "the adapter"}');
    await run("sinter", "verify", "grown-merged", "--recompute", "--quiet");
  });

  test("and of a model that is filled up", async () => {
    await run("sinter", "fill", "base+grown", "part", "grown-filled", "--quiet");
    expect(config("grown-filled")).toEqual({ ...config("base"), vocab_size: ROWS });
    expect(readFileSync(work.path("grown-filled", "tokenizer_config.json"), "utf8")).toBe('{"of": "the adapter"}');
    await run("sinter", "verify", "grown-filled", "--recompute", "--quiet");
  });
});

test("vocabularies that are united and reordered", async () => {
  const vocab = Object.fromEntries(["new", ...WORDS.toReversed()].map((word, id) => [word, id]));
  await run("sinter", "merge", work.config("merge_method: passthrough\nmodels: [{model: ./b}]\n"), "other", "--quiet");
  const tokenizer = JSON.parse(readFileSync(work.path("other", "tokenizer.json"), "utf8"));
  tokenizer.model.vocab = vocab;
  tokenizer.added_tokens[0].id = vocab["<s>"];
  writeFileSync(work.path("other", "tokenizer.json"), JSON.stringify(tokenizer));
  await run("sinter", "lora", "convert", "other+lora-2", "other-2", "--dtype", "float32", "--quiet");
  const recipe = (models: string[], source: string) =>
    `merge_method: linear\ndtype: float32\nbase_model: ./${models[0]}\ntokenizer: {source: ${source}, pad_to_multiple_of: 16}\n` +
    `models: [${models.map((model, i) => `{model: ./${model}, parameters: {weight: ${i + 1}}}`)}]\n`;
  for (const source of ["union", "base"]) {
    const [out, applied] = [`tokens-${source}`, `tokens-${source}-applied`];
    await run("sinter", "merge", work.config(recipe(["base+./lora-1", "other+./lora-2"], source)), out, "--quiet");
    await run("sinter", "merge", work.config(recipe(["base-1", "other-2"], source)), applied, "--quiet");
    expectSame(out, applied);
    await run("sinter", "verify", out, "--recompute", "--quiet");
  }
});

test("embeddings of different sizes, whose common rows are taken", async () => {
  writeTinyModel(work.path("short"), { seed: 30, vocab: 20 });
  writeWordTokenizer(work.path("short"), null);
  const recipe = (first: string) =>
    `merge_method: linear\ndtype: float32\nmodels: [{model: ./short, parameters: {weight: 1}}, {model: ./${first}, parameters: {weight: 2}}]\n`;
  for (const [lora, end] of [
    ["lora-1", "1"],
    ["lora-2", "2"],
  ] as const) {
    await run("sinter", "merge", work.config(recipe(`base+./${lora}`)), `cut-${end}`, "--quiet");
    await run("sinter", "merge", work.config(recipe(`base-${end}`)), `cut-${end}-applied`, "--quiet");
    expectSame(`cut-${end}`, `cut-${end}-applied`);
  }
});

test("comparisons of models with other vocabularies", async () => {
  const figures = async (model: string) => {
    const { seconds: _, bytes_read: __, ...found } = JSON.parse(await run("sinter", "diff", model, "short", "--json"));
    return JSON.stringify(found).replaceAll(/base-2|base\+lora-2/g, "M");
  };
  expect(await figures("base+lora-2")).toBe(await figures("base-2"));
});

test("transplants of tokenizers", async () => {
  writeTinyModel(work.path("donor"), { seed: 40, vocab: 12 });
  const vocab = Object.fromEntries([...WORDS.toReversed(), "and sums", "new"].map((word, id) => [word, id]));
  const tokenizer = JSON.parse(readFileSync(work.path("base", "tokenizer.json"), "utf8"));
  tokenizer.model.vocab = vocab;
  tokenizer.added_tokens[0].id = vocab["<s>"];
  writeFileSync(work.path("donor", "tokenizer.json"), JSON.stringify(tokenizer));
  const [rank, donor] = [
    4,
    { "model.embed_tokens.lora_embedding_A": [4, 12], "model.embed_tokens.lora_embedding_B": [16, 4] },
  ];
  writeAdapter(work.path("donor-lora"), { r: rank }, someTensors(donor, 9, "F32", 0.2));
  await run("sinter", "lora", "convert", "donor+donor-lora", "donor-1", "--quiet");
  await run("sinter", "lora", "convert", "base+lora-2", "base-2-stored", "--quiet");
  for (const options of [
    ["-k", "4"],
    ["--magikarp", "-k", "2"],
  ]) {
    const name = options.length > 2 ? "transplanted-trained" : "transplanted";
    const args = ["tokens", "transplant"];
    await run("sinter", ...args, "base+lora-2", "donor+donor-lora", name, ...options, "--quiet");
    await run("sinter", ...args, "base-2-stored", "donor-1", `${name}-applied`, ...options, "--quiet");
    expectSame(name, `${name}-applied`);
  }
  expect(readdirSync(work.folder).filter((file) => file.startsWith("."))).toEqual([]);
  await run(
    "mergekit-tokensurgeon",
    "base+lora-2",
    "donor",
    "surgeon",
    "--k",
    "4",
    "--lora-merge-cache",
    "surgeon-cache",
  );
  expect(work.list("surgeon-cache")).toHaveLength(1);
});

test("several merges, one of which is named with an adapter", async () => {
  const recipe = (first: string) =>
    `merge_method: linear\ndtype: float32\nname: first\nmodels: [{model: ./${first}, parameters: {weight: 1}}, {model: ./a, parameters: {weight: 1}}]\n---\n` +
    "merge_method: passthrough\nmodels: [{model: first}]\n";
  const options = ["--lora-merge-cache", "multi-cache", "--lora-merge-dtype", "float32"];
  await run("mergekit-multi", work.config(recipe("base+./lora-1")), "-I", "steps-1", "--out-path", "multi");
  await run(
    "mergekit-multi",
    work.config(recipe("base+./lora-1")),
    "-I",
    "steps-2",
    "--out-path",
    "multi-cached",
    ...options,
  );
  expect(work.list("multi-cache")).toHaveLength(1);
  expectSame("multi", "multi-cached");
  for (const folder of ["multi-cached", "steps-2/first"]) {
    expect(await run("sinter", "verify", folder)).toContain("adapters were applied in a cache beforehand");
  }
});

test("an extraction whose models are cached with their adapters", async () => {
  const args = ["--model", "base+lora-1", "--base-model", "base", "--max-rank", "4", "-e", "embed"];
  await run("mergekit-extract-lora", "--model", "base-1", ...args.slice(2), "--out-path", "extracted");
  const options = ["--lora-merge-cache", "extract-cache", "--lora-merge-dtype", "float32"];
  await run("mergekit-extract-lora", ...args, "--out-path", "extracted-cached", ...options);
  expect(work.list("extract-cache")).toHaveLength(1);
  const read = (folder: string) => readFileSync(work.path(folder, "adapter_model.safetensors"));
  expect(read("extracted").equals(read("extracted-cached"))).toBe(true);
});
