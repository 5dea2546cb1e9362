import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mean, type Rows } from "../oracle/linear.ts";
import { combine, pursue } from "../oracle/transplant.ts";
import { readSafetensors } from "../support/safetensors.ts";
import { type TinyQwen2, writeTinyModel, writeWeights } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";
import { type Tensors, valuesOf } from "./values.ts";

const work = new Workplace();
afterAll(() => work.remove());

const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";

/** A model whose tokens are `tokens`, in the order of their ids. */
function model(name: string, tokens: readonly string[], options: TinyQwen2 = {}): Tensors {
  const tensors = writeTinyModel(work.path(name), { vocab: tokens.length + 2, dtype: "F32", ...options });
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const tokenizer = { version: "1.0", added_tokens: [], model: { type: "BPE", vocab, merges: [] } };
  writeFileSync(work.path(name, "tokenizer.json"), JSON.stringify(tokenizer));
  const config = { tokenizer_class: "Qwen2Tokenizer", eos_token: tokens.at(-1) };
  writeFileSync(work.path(name, "tokenizer_config.json"), JSON.stringify(config));
  writeFileSync(
    work.path(name, "generation_config.json"),
    JSON.stringify({ temperature: 0.7, eos_token_id: tokens.length - 1 }),
  );
  return tensors;
}

const letters = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `w${from + i}`);
// The donor has 5 tokens more, and 30 in another place; both end with a token of their own for the end.
const ORIGINAL = [...letters(0, 32), "</s>"];
const DONOR = [...letters(2, 37).toReversed(), "<|end|>"];
const original = model("original", ORIGINAL, { seed: 1, tied: true });
const untied = model("untied", ORIGINAL, { seed: 2, tied: false });
const donor = model("donor", DONOR, { seed: 3, tied: true });
model("headed", DONOR, { seed: 4, tied: false });

function rowsOf(tensors: Tensors, name: string): Float64Array[] {
  const values = valuesOf(tensors.get(name));
  return Array.from({ length: values.length / 16 }, (_, row) => values.slice(16 * row, 16 * row + 16));
}

const output = (folder: string) => readSafetensors(work.path(folder, "model.safetensors")).tensors;
const json = (folder: string, name: string) => JSON.parse(readFileSync(work.path(folder, name), "utf8"));

/** The rows that a matrix should have, by matching pursuit with k terms. */
function truth(own: Rows, theirs: Rows, k: number): Float64Array[] {
  const place = (token: string, id: number) =>
    id === DONOR.length - 1 ? ORIGINAL.length - 1 : ORIGINAL.indexOf(token);
  const shared = DONOR.flatMap((token, id) => (place(token, id) < 0 ? [] : [[id, place(token, id)] as const]));
  const points = shared.map(([id]) => theirs[id] as Float64Array);
  const rows = shared.map(([, row]) => own[row] as Float64Array);
  return DONOR.map((token, id) => {
    const row = place(token, id);
    if (row >= 0) return own[row] as Float64Array;
    return combine(pursue(theirs[id] as Float64Array, points, k), rows);
  });
}

function expectRows(ours: Rows, wanted: Rows): void {
  expect(ours).toHaveLength(wanted.length);
  ours.forEach((row, i) => {
    row.forEach((value, j) => {
      expect(value).toBeCloseTo(wanted[i]?.[j] as number, 5);
    });
  });
}

describe("sinter tokens transplant", () => {
  test("gives a model the donor's tokens; a tied head stays tied, other weights stay as they are", async () => {
    const finished = await work.run("sinter", [
      "tokens",
      "transplant",
      "original",
      "donor",
      "tied",
      "-k",
      "4",
      "--json",
    ]);
    expect(finished.exitCode).toBe(0);
    const ours = output("tied");
    expect([...ours.keys()].sort()).toEqual([...original.keys()].sort());
    expectRows(rowsOf(ours, EMBEDDING), truth(rowsOf(original, EMBEDDING), rowsOf(donor, EMBEDDING), 4));
    for (const [name, { bytes }] of original) {
      if (name !== EMBEDDING) expect(Buffer.compare(ours.get(name)?.bytes ?? new Uint8Array(), bytes)).toBe(0);
    }
    const summary = JSON.parse(finished.stdout);
    expect(summary.tokens[EMBEDDING]).toEqual({ exact: 31, byte: 0, prefix: 0, approximated: 5, zero: 0 });
  });

  test("its folder is the donor's in everything that speaks of tokens", () => {
    expect(json("tied", "config.json")).toMatchObject({ vocab_size: 36, tie_word_embeddings: true, hidden_size: 16 });
    // The donor's config.json says 1; the ids of generation follow the donor, too, and nothing else of it.
    expect(json("tied", "config.json").bos_token_id).toBe(1);
    expect(json("tied", "generation_config.json")).toEqual({ temperature: 0.7, eos_token_id: 35 });
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      expect(readFileSync(work.path("tied", name))).toEqual(readFileSync(work.path("donor", name)));
    }
    expect(readFileSync(work.path("tied", "README.md"), "utf8")).toContain("omp, k = 4");
    expect(json("tied", "sinter_manifest.json")).toMatchObject({ varies_by_machine: EMBEDDING });
  });

  test("another method or another donor is another plan; the output folder's name is no part of it", async () => {
    const hash = async (other: string, k: string, out: string) => {
      await work.run("sinter", ["tokens", "transplant", "original", other, out, "-k", k, "-q"]);
      return json(out, "sinter_manifest.json").plan;
    };
    const first = json("tied", "sinter_manifest.json").plan;
    expect(await hash("donor", "4", "hash-1")).toBe(first);
    expect(await hash("donor", "5", "hash-2")).not.toBe(first);
    expect(await hash("headed", "4", "hash-3")).not.toBe(first);
  });

  test("leaves nothing beside the output", () => {
    expect(readdirSync(work.folder).filter((name) => name.startsWith("."))).toEqual([]);
  });

  for (const other of ["headed", "donor"]) {
    test(`an own head goes by the donor's ${other === "headed" ? "own head" : "embedding, which its head is"}`, async () => {
      const finished = await work.run("sinter", [
        "tokens",
        "transplant",
        "untied",
        other,
        `untied-${other}`,
        "-k",
        "3",
        "-q",
      ]);
      expect([finished.exitCode, finished.stderr]).toEqual([0, ""]);
      const theirs = readSafetensors(work.path(other, "model.safetensors")).tensors;
      const ours = output(`untied-${other}`);
      expectRows(rowsOf(ours, EMBEDDING), truth(rowsOf(untied, EMBEDDING), rowsOf(theirs, EMBEDDING), 3));
      const head = rowsOf(theirs, other === "headed" ? HEAD : EMBEDDING);
      expectRows(rowsOf(ours, HEAD), truth(rowsOf(untied, HEAD), head, 3));
    });
  }

  test("a head's bias keeps the numbers of shared tokens, and has the mean of all for others", async () => {
    const shapes: Record<string, number[]> = {
      "bert.embeddings.word_embeddings.weight": [33, 16],
      "bert.embeddings.position_embeddings.weight": [8, 16],
      "bert.embeddings.token_type_embeddings.weight": [2, 16],
      "bert.embeddings.LayerNorm.weight": [16],
      "bert.embeddings.LayerNorm.bias": [16],
      "cls.predictions.transform.dense.weight": [16, 16],
      "cls.predictions.transform.dense.bias": [16],
      "cls.predictions.transform.LayerNorm.weight": [16],
      "cls.predictions.transform.LayerNorm.bias": [16],
      "cls.predictions.bias": [33],
    };
    const tensors = new Map(
      Object.entries(shapes).map(([name, shape]) => {
        const count = shape.reduce((product, size) => product * size, 1);
        const values = Float32Array.from({ length: count }, (_, i) => i / 64);
        return [name, { dtype: "F32" as const, shape, bytes: new Uint8Array(values.buffer) }];
      }),
    );
    model("bert", ORIGINAL);
    writeWeights(work.path("bert"), tensors);
    const config = { architectures: ["BertForMaskedLM"], model_type: "bert", num_hidden_layers: 0, vocab_size: 33 };
    writeFileSync(work.path("bert", "config.json"), JSON.stringify(config));
    const args = ["tokens", "transplant", "bert", "donor", "bert-out", "-a", "mean", "-q"];
    const { exitCode, stderr } = await work.run("sinter", args);
    expect([exitCode, stderr]).toEqual([0, ""]);
    const bias = valuesOf(output("bert-out").get("cls.predictions.bias"));
    expect(bias).toHaveLength(36);
    // w2 is token 34 of the donor; w36, its first, is missing.
    expect(bias[34]).toBe(2 / 64);
    expect(bias[0]).toBe(16 / 64);
  });

  test("the same seed gives the same bytes, in any batches and shards", async () => {
    const args = ["tokens", "transplant", "untied", "donor"];
    const more = ["-a", "randn", "--new-vocab-noise", "0.1", "--seed", "5", "-q"];
    await work.run("sinter", [...args, "random-1", ...more]);
    await work.run("sinter", [...args, "random-2", ...more, "--batch-size", "2", "--threads", "1"]);
    const [first, second] = [output("random-1"), output("random-2")];
    for (const [name, { bytes }] of first) expect(second.get(name)?.bytes).toEqual(bytes);
    expect(rowsOf(first, HEAD)[3]).not.toEqual(rowsOf(first, EMBEDDING)[3] as Float64Array);
  });

  test("pieces, means and magikarp end in a whole model", async () => {
    for (const [i, more] of [
      ["-a", "subword"],
      ["-a", "mean"],
      ["--magikarp", "-k", "3"],
      ["-a", "stb", "-k", "20"],
    ].entries()) {
      const { exitCode, stderr } = await work.run("sinter", [
        "tokens",
        "transplant",
        "untied",
        "headed",
        `whole-${i}`,
        ...more,
        "-q",
      ]);
      expect([exitCode, stderr]).toEqual([0, ""]);
      expect(rowsOf(output(`whole-${i}`), HEAD)).toHaveLength(36);
    }
    expectRows([rowsOf(output("whole-1"), HEAD)[0] as Float64Array], [mean(rowsOf(untied, HEAD))]);
  });

  test("a folder that holds a model is replaced only where asked for", async () => {
    const args = ["tokens", "transplant", "original", "donor", "tied", "-a", "zero", "-q"];
    expect((await work.run("sinter", args)).exitCode).toBe(1);
    expect((await work.run("sinter", [...args, "--force"])).exitCode).toBe(0);
    expect(rowsOf(output("tied"), EMBEDDING)[0]).toEqual(new Float64Array(16));
  });
});

describe("mergekit-tokensurgeon", () => {
  test("takes mergekit's short options, replaces what is there, and writes no card", async () => {
    const short = [
      "-k",
      "3",
      "-a",
      "common_interpolation",
      "-c",
      "-w",
      "barycentric",
      "-pm",
      "no",
      "-bm=lm_head",
      "-nvs",
      "1.5",
    ];
    const finished = await work.run("mergekit-tokensurgeon", ["untied", "donor", "surgeon", ...short, "--no-magikarp"]);
    expect(finished.exitCode).toBe(0);
    expect(finished.stderr).toContain("31 tokens as they are, 5 approximated");
    expect(existsSync(work.path("surgeon", "README.md"))).toBe(false);
    expect(
      (await work.run("mergekit-tokensurgeon", ["untied", "donor", "surgeon", "-a", "zero", "-nc"])).exitCode,
    ).toBe(0);
  });
});

describe("what cannot be done is said before any work", () => {
  async function refused(args: readonly string[], ...parts: (string | RegExp)[]): Promise<void> {
    const { exitCode, stderr } = await work.run("sinter", ["tokens", "transplant", ...args]);
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/^error: /m);
    for (const part of parts) expect(stderr).toMatch(part);
    expect(stderr).not.toMatch(/fault in Sinter|\n\s+at .*:\d+:\d+/);
    expect(work.list("refused")).toBeUndefined();
  }

  test("a model without a tokenizer", async () => {
    model("mute", ORIGINAL);
    rmSync(work.path("mute", "tokenizer.json"));
    await refused(["mute", "donor", "refused"], /mute/, /no tokenizer/);
    await refused(["original", "mute", "refused"], /mute/, /no tokenizer/);
  });

  test("a tokenizer that does not parse, both models' problems at once", async () => {
    model("broken", ORIGINAL);
    writeFileSync(work.path("broken", "tokenizer.json"), "{");
    await refused(["broken", "mute", "refused"], /broken/, /mute/, /2 errors/);
  });

  test("no token in common", async () => {
    model("foreign", ["x", "y", "z"]);
    writeFileSync(work.path("foreign", "tokenizer_config.json"), "{}");
    await refused(["original", "foreign", "refused"], /no token in common/, /subword/);
    const { exitCode } = await work.run("sinter", [
      "tokens",
      "transplant",
      "original",
      "foreign",
      "foreign-mean",
      "-a",
      "mean",
    ]);
    expect(exitCode).toBe(0);
  });

  test("more terms than shared tokens", async () => {
    await refused(["original", "donor", "refused"], /k is 64/, /only 31/, /--k 31/);
  });

  test("rotary positions that do not fit", async () => {
    const config = json("donor", "config.json");
    model("heads", DONOR);
    writeFileSync(
      join(work.path("heads"), "config.json"),
      JSON.stringify({ ...config, num_attention_heads: 16, num_key_value_heads: 8, head_dim: 1 }),
    );
    await refused(["original", "heads", "refused", "-a", "mp_rope", "-k", "2"], /16 heads of pairs/);
  });

  test("options without sense", async () => {
    await refused(["original", "donor", "refused", "--new-vocab-scale", "0"], /zeros/);
    await refused(["original", "donor", "refused", "-a", "opm"], /did you mean omp/);
    await refused(["original", "donor", "refused", "-k", "0"], /below 1/);
  });

  test("an output folder that is an input", async () => {
    const { exitCode, stderr } = await work.run("sinter", [
      "tokens",
      "transplant",
      "original",
      "donor",
      "donor",
      "-k",
      "4",
      "--force",
    ]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/input/);
    expect(existsSync(work.path("donor", "model.safetensors"))).toBe(true);
  });
});
