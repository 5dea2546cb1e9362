import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plan, problems, tinyModel } from "./models.ts";

const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";
const average = "merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: a}, {model: b}]";
const rows = (op: { inputs: readonly { view: { shape: readonly number[] } }[] }) =>
  op.inputs.map(({ view }) => view.shape[0]);

const root = mkdtempSync(join(tmpdir(), "sinter-vocabulary-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A folder with the given files; also a model whose folder it is. */
function folder(name: string, rows: number, files: Record<string, unknown>) {
  const dir = mkdtempSync(join(root, "model-"));
  for (const [file, content] of Object.entries(files)) writeFileSync(join(dir, file), JSON.stringify(content));
  return tinyModel(name, { rows, dir, sideFiles: Object.keys(files) });
}

describe("vocabularies of different size", () => {
  const merged = plan(average, [tinyModel("a", { rows: 12 }), tinyModel("b", { rows: 10 })]);

  test("take the rows that all have", () => {
    for (const name of [EMBEDDING, HEAD]) {
      expect(merged.op(name).shape).toEqual([10, 4]);
      expect(rows(merged.op(name))).toEqual([10, 10]);
    }
  });

  test("are a warning that names every size", () => {
    expect(merged.report.warnings).toMatchObject([{ code: "vocabulary-rows", tensor: EMBEDDING }]);
    expect(merged.report.warnings[0]?.message).toContain("a 12, b 10; the first 10 rows");
  });

  test("set vocab_size, unless the donor has just these rows", () => {
    expect(merged.config.vocab_size).toBe(10);
    const other = plan(average, [tinyModel("a", { rows: 10 }), tinyModel("b", { rows: 12 })]);
    expect(other.config.vocab_size).toBe(10);
  });

  test("of tied models cut the embedding, and a head that is made of it", () => {
    const tied = (name: string, size: number) => tinyModel(name, { rows: size, tied: true });
    expect(plan(average, [tied("a", 12), tied("b", 10)]).op(EMBEDDING).shape).toEqual([10, 4]);
    const mixed = plan(average, [tied("a", 12), tinyModel("b", { rows: 10 })]);
    expect(rows(mixed.op(HEAD))).toEqual([10, 10]);
  });

  test("that meet only in stacked layers are cut, too", () => {
    const stack = `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 1]}]
  - sources: [{model: b, layer_range: [1, 2]}]
`;
    const stacked = plan(stack, [tinyModel("a", { rows: 10 }), tinyModel("b", { rows: 12 })]);
    expect([stacked.op(EMBEDDING).shape[0], stacked.op(HEAD).shape[0]]).toEqual([10, 10]);
  });

  test("only cut what has rows of the vocabulary", () => {
    expect(merged.op("model.norm.weight").shape).toEqual([4]);
  });
});

test("equal vocabularies are left alone, also where config.json counts otherwise", () => {
  const padded = (name: string) => tinyModel(name, { rows: 12, config: { vocab_size: 11 } });
  const merged = plan(average, [padded("a"), padded("b")]);
  expect(merged.config.vocab_size).toBe(11);
  expect(merged.warned).toEqual([]);
});

describe("the tokenizer that is copied", () => {
  const b = tinyModel("b", { rows: 10 });
  const tokenizer = (ids: number[], added: number[]) => ({
    model: { vocab: Object.fromEntries(ids.map((id) => [`t${id}`, id])) },
    added_tokens: added.map((id) => ({ id, content: `<${id}>` })),
  });

  test("may not use ids beyond the rows, added ones included", () => {
    for (const content of [tokenizer([0, 10], []), tokenizer([0, 1], [11])]) {
      const [problem, ...others] = problems(average, [folder("a", 12, { "tokenizer.json": content }), b]);
      expect(others).toEqual([]);
      expect(problem).toMatchObject({ code: "tokenizer-rows", at: { line: 3 } });
      expect(problem?.message).toContain("the merged embedding has 10 rows");
      expect(problem?.hint).toContain("tokenizer_source");
    }
  });

  test("is fine within them", () => {
    const a = folder("a", 12, { "tokenizer.json": tokenizer([0, 8], [9]) });
    expect(plan(average, [a, b]).plan.ops.length).toBeGreaterThan(0);
  });

  test("does not matter where none is copied", () => {
    const a = folder("a", 12, { "tokenizer.json": tokenizer([0, 11], []) });
    expect(plan(average, [a, b], { copyTokenizer: false }).config.vocab_size).toBe(10);
  });

  test("may be a list of pieces, or a vocabulary beside its added tokens", () => {
    const unigram = { model: { vocab: Array.from({ length: 11 }, (_, i) => [`t${i}`, -i]) } };
    expect(problems(average, [folder("a", 12, { "tokenizer.json": unigram }), b])).toHaveLength(1);
    const bare = folder("a", 12, { "vocab.json": { x: 0 }, "added_tokens.json": { "<x>": 10 } });
    expect(problems(average, [bare, b])).toHaveLength(1);
  });
});
