import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { WORDS, writeWordTokenizer } from "../moe/word-tokenizer.ts";
import { decode } from "../oracle/dtype.ts";
import { readSafetensors, type StoredTensor } from "../support/safetensors.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";

/** A tied family of the shape that ends in `KeyError: 'lm_head.weight'` elsewhere, from configuration to model folder. */
const place = new Workplace();
const inputs = new Map<string, Map<string, StoredTensor>>();

beforeAll(() => {
  const base = writeTinyModel(place.path("base"));
  inputs.set("base", base);
  ["a", "b", "c"].forEach((name, i) => {
    inputs.set(name, writeTinyModel(place.path(name), { seed: 10 + i, base, dtype: name === "c" ? "F32" : "BF16" }));
  });
  writeWordTokenizer(place.path("base"));
});
afterAll(() => place.remove());

function recipe({ gate = "cheap_embed", noise = 0, shared = true, dtype = "bfloat16" } = {}): string {
  return `base_model: ./base
gate_mode: ${gate}
dtype: ${dtype}
experts:
  - source_model: ./a
    positive_prompts: ["numbers", "numbers and sums"]
    negative_prompts: ["dragons"]
  - source_model: ./b
    positive_prompts: ["stories"]
    ${noise === 0 ? "" : `noise_scale: ${noise}`}
${shared ? 'shared_experts:\n  - {source_model: ./c, positive_prompts: ["all"], residual_scale: 0.5}\n' : ""}`;
}

async function build(text: string, ...options: string[]) {
  const out = `out-${Math.random().toString(36).slice(2)}`;
  const finished = await place.run("sinter", ["moe", place.config(text), out, "--quiet", "--no-sync", ...options]);
  expect(finished).toEqual({ exitCode: 0, stdout: "", stderr: expect.any(String) });
  const { tensors } = readSafetensors(place.path(out, "model.safetensors"));
  const config = JSON.parse(readFileSync(place.path(out, "config.json"), "utf8"));
  return { out, tensors, config, stderr: finished.stderr };
}

const valuesOf = (tensor: StoredTensor | undefined) =>
  tensor === undefined ? [] : [...decode(tensor.bytes, tensor.dtype as FloatDtype)];
const input = (model: string, tensor: string) => inputs.get(model)?.get(tensor) as StoredTensor;
const row = (model: string, token: number, width = 16) =>
  valuesOf(input(model, "model.embed_tokens.weight")).slice(token * width, (token + 1) * width);

/** The sum of the rows of all tokens, divided by its norm. */
function direction(tokens: readonly number[]): number[] {
  const sum = row("base", 0).map((_, i) =>
    tokens.reduce((total, token) => total + (row("base", token)[i] as number), 0),
  );
  return sum.map((x) => x / Math.hypot(...sum));
}

describe("a tied Qwen2", () => {
  test("becomes a mixture whose head is tied, weights copied bit by bit", async () => {
    const { tensors, config, out } = await build(recipe());
    expect(tensors.has("lm_head.weight")).toBe(false);
    expect(config).toMatchObject({ architectures: ["Qwen2MoeForCausalLM"], tie_word_embeddings: true, num_experts: 2 });
    for (const name of ["model.embed_tokens.weight", "model.layers.1.self_attn.q_proj.bias", "model.norm.weight"]) {
      expect(tensors.get(name)?.bytes).toEqual(input("base", name).bytes);
    }
    for (const [expert, model] of [
      [0, "a"],
      [1, "b"],
    ] as const) {
      const name = `model.layers.1.mlp.experts.${expert}.down_proj.weight`;
      expect(tensors.get(name)?.bytes).toEqual(input(model, "model.layers.1.mlp.down_proj.weight").bytes);
    }
    const shared = valuesOf(tensors.get("model.layers.0.mlp.shared_expert.down_proj.weight"));
    const from = valuesOf(input("c", "model.layers.0.mlp.down_proj.weight"));
    shared.forEach((x, i) => {
      expect(Math.abs(x - (from[i] as number) / 2)).toBeLessThanOrEqual(Math.abs(x) * 2 ** -8);
    });
    expect(readFileSync(place.path(out, "mergekit_moe_config.yml"), "utf8")).toBe(recipe());
    expect(place.list(out)).toContain("tokenizer.json");
  });

  test("has routers from the embeddings of the prompts' tokens, the same in all layers", async () => {
    const { tensors } = await build(recipe({ dtype: "float32" }));
    const id = (word: string) => WORDS.indexOf(word);
    const plus = direction([1, id("numbers"), 1, id("numbers"), id("and"), id("sums")]);
    const minus = direction([1, id("dragons")]);
    const first = plus.map((x, i) => x - (minus[i] as number));
    const expected = [
      ...first.map((x) => x / Math.hypot(...first)),
      ...direction([1, id("stories")]),
      ...direction([1, id("all")]),
    ];
    for (const layer of [0, 1]) {
      const router = valuesOf(tensors.get(`model.layers.${layer}.mlp.gate.weight`));
      const gate = valuesOf(tensors.get(`model.layers.${layer}.mlp.shared_expert_gate.weight`));
      [...router, ...gate].forEach((x, i) => {
        expect(x).toBeCloseTo(expected[i] as number, 6);
      });
      expect([router.length, gate.length]).toEqual([32, 16]);
    }
  });

  test("has routers from hidden states that differ by layer, and start from the embedding", async () => {
    const { tensors } = await build(recipe({ gate: "hidden", shared: false, dtype: "float32" }));
    const [first, second] = [0, 1].map((layer) => valuesOf(tensors.get(`model.layers.${layer}.mlp.gate.weight`)));
    // What the first layer is given is the last token's row of the embedding.
    direction([WORDS.indexOf("stories")]).forEach((x, i) => {
      expect(first?.[16 + i]).toBeCloseTo(x, 5);
    });
    expect(second).not.toEqual(first);
    for (const router of [first, second]) expect(Math.hypot(...(router?.slice(0, 16) ?? []))).toBeCloseTo(1, 5);
  });

  test("averages over all tokens of a prompt where that is asked for", async () => {
    const { tensors } = await build(recipe({ gate: "hidden_avg", shared: false, dtype: "float32" }));
    const expected = direction([1, WORDS.indexOf("stories")]);
    expected.forEach((x, i) => {
      expect(valuesOf(tensors.get("model.layers.0.mlp.gate.weight"))[16 + i]).toBeCloseTo(x, 5);
    });
  });

  test("has a head where one is to be stored: the embedding, bit by bit", async () => {
    const { tensors, config } = await build(recipe(), "--lm-head", "materialize");
    expect(tensors.get("lm_head.weight")?.bytes).toEqual(input("base", "model.embed_tokens.weight").bytes);
    expect(config.tie_word_embeddings).toBe(false);
  });

  test("holds the same numbers packed and separate, noise included", async () => {
    const noisy = recipe({ noise: 0.01 });
    const apart = (await build(noisy)).tensors;
    const packed = (await build(noisy, "--expert-layout", "packed")).tensors;
    const layer = "model.layers.1.mlp";
    const join = (...names: string[]) =>
      Buffer.concat(names.map((name) => apart.get(`${layer}.${name}.weight`)?.bytes ?? new Uint8Array()));
    expect(packed.get(`${layer}.experts.gate_up_proj`)?.shape).toEqual([2, 48, 16]);
    expect(Buffer.from(packed.get(`${layer}.experts.gate_up_proj`)?.bytes ?? [])).toEqual(
      join("experts.0.gate_proj", "experts.0.up_proj", "experts.1.gate_proj", "experts.1.up_proj"),
    );
    expect(Buffer.from(packed.get(`${layer}.experts.down_proj`)?.bytes ?? [])).toEqual(
      join("experts.0.down_proj", "experts.1.down_proj"),
    );
    const change = valuesOf(apart.get(`${layer}.experts.1.up_proj.weight`)).map(
      (x, i) => x - (valuesOf(input("b", `${layer}.up_proj.weight`))[i] as number),
    );
    expect(Math.hypot(...change) / Math.sqrt(change.length)).toBeCloseTo(0.01, 3);
  });

  test("is the same bytes again with any number of threads, and others with another seed", async () => {
    const random = recipe({ gate: "random", noise: 0.01 });
    const digest = async (...options: string[]) => {
      const { out } = await build(random, ...options);
      return Bun.hash(readFileSync(place.path(out, "model.safetensors")));
    };
    expect(await digest("--threads", "3")).toBe(await digest("--threads", "1"));
    expect(await digest("--seed", "1")).not.toBe(await digest());
  });

  test("in files of PyTorch holds the same tensors", async () => {
    const finished = await place.run("sinter", [
      "moe",
      place.config(recipe()),
      "as-torch",
      "--no-safe-serialization",
      "--quiet",
      "--no-sync",
    ]);
    expect(finished.exitCode).toBe(0);
    expect(place.list("as-torch")).toContain("pytorch_model.bin");
  });
});

describe("what cannot be done leaves nothing", () => {
  async function refused(text: string, ...options: string[]) {
    const finished = await place.run("sinter", ["moe", place.config(text), "refused", ...options]);
    expect(finished.exitCode).toBe(1);
    expect(existsSync(place.path("refused"))).toBe(false);
    return finished.stderr;
  }

  test("experts that differ from the base in their layers, all reported at once", async () => {
    writeTinyModel(place.path("deep"), { layers: 3 });
    const stderr = await refused(recipe().replace("./b\n", "./deep\n").replace("./a\n", "./deep\n"));
    expect(stderr).toContain("all experts are the same model");
    expect(await refused(recipe().replace("./b\n", "./deep\n"))).toContain(
      "the expert has 3 layers, and the base, ./base, has 2",
    );
  });

  test("prompts without a tokenizer", async () => {
    rmSync(place.path("c", "tokenizer.json"));
    expect(await refused(recipe().replace("./base", "./c"))).toContain("the model has no tokenizer");
  });

  test("an expert's adapter that is not there", async () => {
    expect(await refused(recipe().replace("./b\n", "./b+./lora\n"))).toContain('no folder "./lora"');
  });
});

describe("mergekit-moe", () => {
  test("takes every option of the original, and replaces a model that is there", async () => {
    const flags =
      "--load-in-4bit --load-in-8bit --i-understand-this-is-not-useful-without-training --trust-remote-code --lazy-unpickle " +
      "--clone-tensors --low-cpu-memory --device cpu --allow-crimes --out-shard-size 5K --no-copy-tokenizer --random-seed 7 " +
      "--async-write --write-threads 4 --lora-merge-cache x --quiet";
    const same = recipe().replace("./b\n", "./a\n");
    for (let time = 0; time < 2; time++) {
      const finished = await place.run("mergekit-moe", [place.config(same), "compat", ...flags.split(" ")]);
      expect(finished).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    }
    const files = place.list("compat") ?? [];
    expect(files).toContain("model.safetensors.index.json");
    expect(files.filter((name) => name.startsWith("tokenizer"))).toEqual([]);
  });

  test("explains in its help what has no meaning here", async () => {
    const { stdout } = await place.run("mergekit-moe", ["--help"]);
    expect(stdout).toMatch(/--load-in-4bit\s+No effect: hidden states/);
  });
});
