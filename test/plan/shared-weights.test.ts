import { describe, expect, test } from "bun:test";
import { plan, type TinyModel, tinyModel } from "./models.ts";

const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";

const qwen = (name: string, tiny: TinyModel) => tinyModel(name, { class: "Qwen2ForCausalLM", ...tiny });
const tied = (name: string, tiny: TinyModel = {}) => qwen(name, { tied: true, ...tiny });
const untied = (name: string, tiny: TinyModel = {}) => qwen(name, { tied: false, ...tiny });

const average = "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}\n";
const names = ({ plan: { ops } }: ReturnType<typeof plan>) => ops.map(({ tensor }) => tensor);
const read = (op: { inputs: readonly { model: string; tensor: string }[] }) =>
  op.inputs.map(({ model, tensor }) => `${model}:${tensor}`);

describe("a tied head follows its embedding", () => {
  test("all inputs tied: the output stores none and stays tied", () => {
    const merged = plan(average, [tied("a"), tied("b")]);
    expect(names(merged)).not.toContain(HEAD);
    expect(merged.plan.tied).toEqual([{ tensor: HEAD, follows: EMBEDDING }]);
    expect(merged.config.tie_word_embeddings).toBe(true);
  });

  test.each([
    ["first", tied("a"), untied("b"), EMBEDDING, HEAD],
    ["last", untied("a"), tied("b"), HEAD, EMBEDDING],
  ])(
    "one input tied (%s): each input gives its head or its embedding, and the output is untied",
    (_, a, b, ofA, ofB) => {
      const merged = plan(average, [a, b]);
      expect(read(merged.op(HEAD))).toEqual([`a:${ofA}`, `b:${ofB}`]);
      expect(read(merged.op(EMBEDDING))).toEqual([`a:${EMBEDDING}`, `b:${EMBEDDING}`]);
      expect(merged.plan.tied).toEqual([]);
      expect(merged.config.tie_word_embeddings).toBe(false);
      expect(merged.warned).toEqual([]);
    },
  );

  test("no input tied: a head of heads", () => {
    const merged = plan(average, [untied("a"), untied("b")]);
    expect(read(merged.op(HEAD))).toEqual([`a:${HEAD}`, `b:${HEAD}`]);
    expect(merged.config.tie_word_embeddings).toBe(false);
  });

  test("a stored head counts although config.json says tied, and a warning says so", () => {
    const merged = plan(average, [tied("a", { head: true }), tied("b")]);
    expect(read(merged.op(HEAD))).toEqual([`a:${HEAD}`, `b:${EMBEDDING}`]);
    expect(merged.config.tie_word_embeddings).toBe(false);
    expect(merged.report.warnings).toMatchObject([{ code: "tied-but-stored", model: "a", tensor: HEAD }]);
  });

  test("a missing head is the embedding although config.json says untied, and a warning says so", () => {
    const merged = plan(average, [untied("a", { head: false }), untied("b")]);
    expect(read(merged.op(HEAD))).toEqual([`a:${EMBEDDING}`, `b:${HEAD}`]);
    expect(merged.report.warnings).toMatchObject([{ code: "untied-but-missing", model: "a", tensor: HEAD }]);
  });

  test("task vectors go from the base's embedding to the models' heads", () => {
    const ties = "merge_method: ties\nbase_model: base\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}\n";
    const merged = plan(ties, [tied("base"), untied("a"), tied("b")]);
    expect(read(merged.op(HEAD))).toEqual([`base:${EMBEDDING}`, `a:${HEAD}`, `b:${EMBEDDING}`]);
  });
});

describe("stacked layers", () => {
  const stack = `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [0, 2]}]
`;

  test("of tied models stay tied to the first model's embedding", () => {
    const merged = plan(stack, [tied("a"), tied("b")]);
    expect(merged.plan.tied).toHaveLength(1);
    expect(read(merged.op(EMBEDDING))).toEqual([`a:${EMBEDDING}`]);
  });

  test("with one untied model anywhere get the head of the last", () => {
    expect(read(plan(stack, [untied("a"), tied("b")]).op(HEAD))).toEqual([`b:${EMBEDDING}`]);
    expect(read(plan(stack, [tied("a"), untied("b")]).op(HEAD))).toEqual([`b:${HEAD}`]);
  });
});

describe("--lm-head", () => {
  test("tied: stores no head, and names the models whose own is left out", () => {
    const merged = plan(average, [untied("a"), tied("b")], { lmHead: "tied" });
    expect(names(merged)).not.toContain(HEAD);
    expect(merged.config.tie_word_embeddings).toBe(true);
    expect(merged.report.warnings).toMatchObject([{ code: "own-head-dropped", model: "a", tensor: HEAD }]);
  });

  test("materialize: stores the head of tied models", () => {
    const merged = plan(average, [tied("a"), tied("b")], { lmHead: "materialize" });
    expect(read(merged.op(HEAD))).toEqual([`a:${EMBEDDING}`, `b:${EMBEDDING}`]);
    expect(merged.config.tie_word_embeddings).toBe(false);
  });

  test("materialize: the stored head equals the embedding, whatever filters and random numbers say", () => {
    const dare = `
merge_method: dare_ties
base_model: base
models: [{model: a}]
parameters: {weight: [{filter: lm_head, value: 9}, {value: 1}], density: [{filter: lm_head, value: 0.1}, {value: 0.5}]}
`;
    const merged = plan(dare, [tied("base"), tied("a")], { lmHead: "materialize" });
    const { tensor: _, offset: __, randomAs, ...head } = merged.op(HEAD);
    const { tensor: ___, offset: ____, randomAs: own, ...embedding } = merged.op(EMBEDDING);
    expect(head).toEqual(embedding);
    expect([randomAs, own]).toEqual([EMBEDDING, undefined]);
  });

  test("materialize: of tied layers that are stacked, the head is the output's embedding", () => {
    const stack = `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [0, 2]}]
`;
    const merged = plan(stack, [tied("a"), tied("b")], { lmHead: "materialize" });
    expect(read(merged.op(HEAD))).toEqual([`a:${EMBEDDING}`]);
  });
});
