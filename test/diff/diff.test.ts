import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openForDiff } from "../../src/diff/models.ts";
import { pairTensors } from "../../src/diff/pair.ts";
import { runDiff } from "../../src/diff/run.ts";
import { diffText } from "../../src/diff/table.ts";
import type { DiffResult, TensorDifference } from "../../src/diff/types.ts";
import { readVocabularies } from "../../src/diff/vocabulary.ts";
import { Report } from "../../src/errors.ts";
import { elementCount } from "../../src/model/types.ts";
import { native } from "../../src/native.ts";
import { silentProgress } from "../../src/run/progress.ts";
import { inFolder } from "../native/workbench.ts";
import { decode, encode } from "../oracle/dtype.ts";
import { type TinyModel, tinyModel } from "../plan/models.ts";
import { writeSafetensors } from "../support/safetensors.ts";

type Values = Map<string, Float64Array>;

/** Writes a tiny model whose numbers depend on `seed`, tensor and place. @returns them as stored. */
function write(
  folder: string,
  name: string,
  seed: number,
  tiny: TinyModel = {},
  vocabulary?: readonly string[],
): Values {
  const model = tinyModel(name, tiny);
  const values: Values = new Map();
  const dir = join(folder, name);
  mkdirSync(dir, { recursive: true });
  const tensors = [...model.tensors].map(([tensor, { shape }]) => {
    const phase = Number(Bun.hash(tensor) % 1000n);
    const numbers = Float64Array.from({ length: elementCount(shape) }, (_, i) => {
      return Math.sin(phase + i) + 0.05 * Math.sin(seed * (phase + 3 * i));
    });
    const bytes = encode(numbers, "BF16");
    values.set(tensor, decode(bytes, "BF16"));
    return [tensor, { dtype: "BF16" as const, shape, bytes }] as const;
  });
  writeSafetensors(join(dir, "model.safetensors"), new Map(tensors));
  writeFileSync(join(dir, "config.json"), JSON.stringify(model.config));
  if (vocabulary !== undefined) {
    const vocab = Object.fromEntries(vocabulary.map((token, id) => [token, id]));
    writeFileSync(
      join(dir, "tokenizer.json"),
      JSON.stringify({ model: { type: "WordLevel", vocab, unk_token: "a" }, added_tokens: [] }),
    );
  }
  return values;
}

async function compare(folder: string, ...names: string[]): Promise<DiffResult> {
  const report = new Report();
  const refs = names.map((name) => ({ model: { path: join(folder, name) } }));
  const models = openForDiff(refs, { cacheDir: undefined, architectures: undefined }, report);
  report.throwIfErrors();
  if (models === undefined) throw new Error("not opened");
  const pairing = pairTensors(models, readVocabularies(models));
  const [left = "", right = "", base] = names;
  return await runDiff(pairing, { left, right, base }, [1e-2], native(), undefined, silentProgress);
}

function of(result: DiffResult, tensor: string): TensorDifference {
  const found = result.tensors.find((one) => one.tensor === tensor);
  if (found === undefined) throw new Error(`${tensor} was not compared`);
  return found;
}

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
const minus = (a: Float64Array, b: Float64Array) => a.map((x, i) => x - (b[i] as number));
const norm = (a: Float64Array) => Math.sqrt(dot(a, a));
const all = (values: Values, pick: (name: string) => boolean = () => true) =>
  Float64Array.from([...values].flatMap(([name, list]) => (pick(name) ? [...list] : [])));

const Q = "model.layers.1.self_attn.q_proj.weight";
const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";

describe("figures", () => {
  test("a tensor, a module, a layer and the whole have the oracle's norms, cosines and shares", async () => {
    await inFolder(async (folder) => {
      const [a, b, c] = ["a", "b", "c"].map((name, i) => write(folder, name, i + 1)) as [Values, Values, Values];
      const result = await compare(folder, "a", "b", "c");
      const cases = [
        [of(result, Q), (name: string) => name === Q],
        [result.modules.find(({ name }) => name === "self_attn.q_proj"), (name: string) => name.includes("q_proj")],
        [result.layers.find(({ name }) => name === "1"), (name: string) => name.includes("layers.1.")],
        [result.total, () => true],
      ] as const;
      for (const [found, pick] of cases) {
        const [x, y, z] = [all(a, pick), all(b, pick), all(c, pick)];
        const [d, p, q] = [minus(y, x), minus(x, z), minus(y, z)];
        expect(found?.elements).toBe(x.length);
        expect(found?.norm).toBeCloseTo(norm(d), 10);
        expect(found?.relative).toBeCloseTo(norm(d) / norm(x), 10);
        expect(found?.cosine).toBeCloseTo(dot(x, y) / norm(x) / norm(y), 10);
        expect(found?.largest).toBe(Math.max(...d.map(Math.abs)));
        expect(found?.density).toEqual([
          { above: 0, share: d.filter((value) => value !== 0).length / d.length },
          { above: 0.01, share: d.filter((value) => Math.abs(value) > 0.01).length / d.length },
        ]);
        expect(found?.base?.leftChange).toBeCloseTo(norm(p), 10);
        expect(found?.base?.cosine).toBeCloseTo(dot(p, q) / norm(p) / norm(q), 10);
        const changed = p.filter((value, i) => value !== 0 || q[i] !== 0).length;
        expect(found?.base?.signConflicts).toBe(p.filter((value, i) => value * (q[i] as number) < 0).length / changed);
      }
    });
  });

  test("a model and itself differ by nothing, and the text says so", async () => {
    await inFolder(async (folder) => {
      write(folder, "a", 1);
      const result = await compare(folder, "a", "a");
      expect(result.total).toMatchObject({ norm: 0, relative: 0, largest: 0 });
      expect(diffText(result, { by: "module", top: 5 })).toContain("Every element is the same.");
    });
  });
});

describe("which tensors are the same weight", () => {
  test("names may have another prefix: the family says what they mean", async () => {
    await inFolder(async (folder) => {
      const a = write(folder, "a", 1);
      const plain = [...tinyModel("x").tensors].filter(([name]) => name.startsWith("model."));
      const moved = plain.map(([name, view]) => [name.replace("model.", "transformer."), view]);
      const gone = plain.map(([name]) => [name, undefined]);
      const b = write(folder, "b", 2, { tensors: Object.fromEntries([...gone, ...moved]) });
      const result = await compare(folder, "a", "b");
      expect([result.tensors.length, result.onlyLeft, result.onlyRight]).toEqual([a.size, [], []]);
      const other = b.get(Q.replace("model.", "transformer.")) as Float64Array;
      expect(of(result, Q).norm).toBeCloseTo(norm(minus(other, a.get(Q) as Float64Array)), 10);
    });
  });

  test("a tied head is the embedding: it is held against a head of its own, and not compared twice", async () => {
    await inFolder(async (folder) => {
      const own = write(folder, "own", 1);
      const tied = write(folder, "tied", 2, { tied: true });
      const result = await compare(folder, "own", "tied");
      const expected = minus(tied.get(EMBEDDING) as Float64Array, own.get(HEAD) as Float64Array);
      expect(of(result, HEAD).norm).toBeCloseTo(norm(expected), 10);
      expect(result.onlyLeft).toEqual([]);
      const both = await compare(folder, "tied", "tied");
      expect(both.tensors.map(({ tensor }) => tensor)).not.toContain(HEAD);
    });
  });

  test("layers and tensors of only one model are named", async () => {
    await inFolder(async (folder) => {
      write(folder, "a", 1, { layers: 2 });
      write(folder, "b", 2, { layers: 3 });
      const result = await compare(folder, "a", "b");
      expect(result.onlyLeft).toEqual([]);
      expect(result.onlyRight.every((name) => name.startsWith("model.layers.2."))).toBe(true);
      expect(result.onlyRight.length).toBe(9);
    });
  });

  test("another shape is named with both shapes, and the rest is compared", async () => {
    await inFolder(async (folder) => {
      write(folder, "a", 1);
      write(folder, "b", 2, { tensors: { [Q]: { dtype: "BF16", shape: [2, 4] } } });
      const result = await compare(folder, "a", "b");
      expect(result.notCompared).toEqual([{ tensor: Q, reason: "shapes [4, 4] and [2, 4]" }]);
      expect(result.tensors.length).toBe(20);
    });
  });

  test("tensors of integers are the same or not, and a model of nothing else is compared", async () => {
    await inFolder(async (folder) => {
      const bytes = (values: number[]) => new Uint8Array(new BigInt64Array(values.map(BigInt)).buffer);
      const file = (name: string, changed: number) => {
        mkdirSync(join(folder, name));
        const tensors = {
          "layers.0.ids": {
            dtype: "U8" as const,
            shape: [3, 3],
            bytes: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, changed]),
          },
          "layers.0.places": { dtype: "I64" as const, shape: [2], bytes: bytes([7, -(2 ** 53) + 1]) },
          flags: { dtype: "BOOL" as const, shape: [1], bytes: new Uint8Array([1]) },
          empty: { dtype: "I32" as const, shape: [0, 4], bytes: new Uint8Array() },
        };
        writeSafetensors(join(folder, name, "model.safetensors"), new Map(Object.entries(tensors)));
      };
      file("a", 9);
      file("b", 10);
      const result = await compare(folder, "a", "b");
      expect(result.tensors).toEqual([]);
      expect(result.notCompared).toEqual([]);
      const same = { "layers.0.ids": false, "layers.0.places": true, flags: true, empty: true };
      expect(Object.fromEntries(result.exact.map((one) => [one.tensor, one.same]))).toEqual(same);
      const text = diffText(result, { by: "module", top: 5 });
      expect(text).toContain("Tensors of integers: 3 the same, 1 not: layers.0.ids");
      expect(text).not.toContain("Every element is the same.");
      const itself = diffText(await compare(folder, "a", "a"), { by: "module", top: 5 });
      expect(itself).toContain("Every element is the same.");
      expect(itself).toContain("Tensors of integers: 4, all the same");
    });
  });

  test("integers of other kinds or shapes are no pair", async () => {
    await inFolder(async (folder) => {
      const file = (name: string, dtype: "I32" | "F32", shape: number[]) => {
        const bytes = new Uint8Array(4 * elementCount(shape));
        mkdirSync(join(folder, name));
        writeSafetensors(join(folder, name, "model.safetensors"), new Map([["w", { dtype, shape, bytes }]]));
      };
      file("a", "I32", [4]);
      file("b", "F32", [4]);
      file("c", "I32", [2, 2]);
      for (const other of ["b", "c"]) {
        const { exact, notCompared } = await compare(folder, "a", other);
        expect([exact.length, notCompared[0]?.tensor]).toEqual([0, "w"]);
      }
    });
  });

  test("models of different families, and files without a config, go by their tensors' names", async () => {
    await inFolder(async (folder) => {
      const a = write(folder, "a", 1);
      write(folder, "q", 2, { class: "Qwen2ForCausalLM" });
      const families = await compare(folder, "a", "q");
      expect(families.notes.join()).toContain("tensors go by their names");
      expect(families.tensors.length).toBe(a.size);
      const files = await compare(folder, "a/model.safetensors", "q/model.safetensors");
      expect(files.total.norm).toBe(families.total.norm);
      expect(files.modules.map(({ name }) => name)).toContain("self_attn.q_proj");
    });
  });
});

describe("vocabularies", () => {
  const TOKENS = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

  test("padding rows that only one model has are left out", async () => {
    await inFolder(async (folder) => {
      const a = write(folder, "a", 1, { rows: 10 }, TOKENS);
      const b = write(folder, "b", 2, { rows: 12 }, TOKENS);
      const result = await compare(folder, "a", "b");
      const expected = minus(a.get(EMBEDDING) as Float64Array, (b.get(EMBEDDING) as Float64Array).slice(0, 40));
      expect(of(result, EMBEDDING).elements).toBe(40);
      expect(of(result, EMBEDDING).norm).toBeCloseTo(norm(expected), 10);
    });
  });

  test("where tokens have other rows, the rows of the same token are compared, and it is said", async () => {
    await inFolder(async (folder) => {
      const a = write(folder, "a", 1, { rows: 10 }, TOKENS);
      const b = write(folder, "b", 2, { rows: 6 }, ["j", "b", "x", "c"]);
      const result = await compare(folder, "a", "b");
      const row = (values: Values, id: number) => (values.get(EMBEDDING) as Float64Array).slice(4 * id, 4 * id + 4);
      const expected = [
        [9, 0],
        [1, 1],
        [2, 3],
      ].flatMap(([left = 0, right = 0]) => [...minus(row(a, left), row(b, right))]);
      expect(of(result, EMBEDDING).elements).toBe(12);
      expect(of(result, EMBEDDING).norm).toBeCloseTo(norm(Float64Array.from(expected)), 10);
      expect(result.notes.join()).toContain("rows of the 3 tokens that all have are compared");
    });
  });
});
