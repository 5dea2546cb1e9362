import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readMergeConfig } from "../../src/config/read.ts";
import { type Problem, Report, SinterError } from "../../src/errors.ts";
import { buildPlan } from "../../src/plan/build.ts";
import { planHash } from "../../src/plan/hash.ts";
import { planText } from "../../src/plan/print.ts";
import { DEFAULT_OPTIONS, type MergePlan, type RowGather } from "../../src/plan/types.ts";
import { someTensors, writeAdapter } from "../lora/peft.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sinter-tokens-"));
  model("base", ["a", "b", "c", "<s>"]);
  model("other", ["<s>", "c", "b", "x", "y"], { rows: 8 });
  model("third", ["y", "z", "a"]);
  model("untied", ["b", "a", "w"], { tied: false });
  model("bare", undefined, { rows: 4 });
  model("beyond", ["a", "b", "c", "d"], { rows: 3 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Made {
  rows?: number;
  tied?: boolean;
  files?: Record<string, unknown>;
}

/** A model whose tokenizer has these tokens; those in angle brackets are special. */
function model(name: string, tokens: string[] | undefined, { rows, tied = true, files = {} }: Made = {}): void {
  const dir = join(folder, name);
  writeTinyModel(dir, { layers: 1, vocab: rows ?? tokens?.length ?? 4, tied, seed: name.length });
  const vocab = Object.fromEntries((tokens ?? []).map((token, id) => [token, id]));
  const added = (tokens ?? []).flatMap((content, id) =>
    content.startsWith("<") ? [{ id, content, special: true }] : [],
  );
  const tokenizer = { version: "1.0", added_tokens: added, model: { type: "WordLevel", unk_token: "a", vocab } };
  const all = { ...(tokens && { "tokenizer.json": tokenizer }), ...files };
  if (tokens === undefined) for (const file of ["tokenizer.json", "tokenizer_config.json"]) rmSync(join(dir, file));
  for (const [file, content] of Object.entries(all)) {
    writeFileSync(join(dir, file), typeof content === "string" ? content : JSON.stringify(content));
  }
}

interface Recipe {
  models: string[];
  base?: string | undefined;
  /** Lines of YAML; `./` stands for the folder. */
  text: string;
}

function plan({ models, base, text }: Recipe): { plan: MergePlan; warnings: readonly Problem[] } {
  const lines = [
    "merge_method: linear",
    ...(base ? [`base_model: ./${base}`] : []),
    "models:",
    ...models.map((name) => `  - model: ./${name}\n    parameters: {weight: 1}`),
    "dtype: float32",
    text,
  ];
  const report = new Report();
  const config = readMergeConfig(lines.join("\n").replaceAll("./", `${folder}/`), "r.yml", { strict: false }, report);
  report.throwIfErrors();
  return { plan: buildPlan(config, DEFAULT_OPTIONS, "out", report), warnings: report.warnings };
}

function problems(recipe: Recipe): string {
  try {
    plan(recipe);
  } catch (error) {
    if (error instanceof SinterError) return error.problems.map((one) => `${one.message} ${one.hint ?? ""}`).join("\n");
    throw error;
  }
  throw new Error("it was planned");
}

const EMBEDDING = "model.embed_tokens.weight";

/** For each row what an input reads: `base:2`, `0`, `mean`, or several rows. */
function rowsOf(found: MergePlan, position: number, tensor = EMBEDDING): string[] {
  const op = found.ops.find((one) => one.tensor === tensor);
  const input = op?.inputs[position];
  if (op === undefined || input === undefined) throw new Error(`no ${tensor}`);
  const short = (name: string) => name.slice(folder.length + 1);
  if (input.gather === undefined)
    return Array.from({ length: op.shape[0] ?? 0 }, (_, row) => `${short(input.model)}:${row}`);
  const { rows, mixes } = input.gather;
  return Array.from(rows, (code) => {
    if (code >= 0) return numbered(input.gather as RowGather, code, short);
    if (code > -3) return code === -1 ? "0" : "mean";
    const first = -3 - code;
    const list = mixes.subarray(first + 1, first + 1 + (mixes[first] ?? 0));
    return Array.from(list, (row) => numbered(input.gather as RowGather, row, short)).join("+");
  });
}

function numbered({ pieces }: RowGather, row: number, short: (name: string) => string): string {
  let left = row;
  for (const { view, model: name } of pieces) {
    if (left < (view.shape[0] ?? 0)) return `${short(name)}:${left}`;
    left -= view.shape[0] ?? 0;
  }
  throw new Error(`row ${row} lies in no piece`);
}

function sideText(found: MergePlan, name: string): string | undefined {
  const file = found.sideFiles.find((one) => one.name === name);
  return file && "text" in file ? file.text : undefined;
}

describe("rows by token", () => {
  test("each model brings its own, and the base's where it lacks one", () => {
    const { plan: found } = plan({ models: ["base", "other"], base: "base", text: "tokenizer_source: base" });
    expect(rowsOf(found, 0)).toEqual(["base:0", "base:1", "base:2", "base:3"]);
    expect(rowsOf(found, 1)).toEqual(["base:0", "other:2", "other:1", "other:0"]);
  });

  test("a token of one model only is that one's for all", () => {
    const { plan: found } = plan({ models: ["base", "other"], base: "base", text: "tokenizer_source: union" });
    expect(rowsOf(found, 0).slice(4)).toEqual(["other:3", "other:4"]);
    expect(rowsOf(found, 1).slice(4)).toEqual(["other:3", "other:4"]);
  });

  test("a token of several models is the mean of theirs for one that lacks it, where the base has none", () => {
    const models = ["base", "other", "third"];
    const { plan: found } = plan({ models, base: "base", text: "tokenizer_source: union" });
    expect(rowsOf(found, 0)).toEqual(["base:0", "base:1", "base:2", "base:3", "other:3", "other:4+third:0", "third:1"]);
    const { plan: without } = plan({ models, text: "tokenizer_source: union" });
    expect(rowsOf(without, 1)[0]).toBe("base:0+third:2");
  });

  test("an adapter of the embedding goes with its rows, wherever they go", () => {
    const shapes = { "model.embed_tokens.lora_embedding_A": [2, 4], "model.embed_tokens.lora_embedding_B": [16, 2] };
    writeAdapter(join(folder, "lora"), { r: 2, target_modules: ["embed_tokens"] }, someTensors(shapes, 1));
    const text = "tokenizer_source: base";
    const { plan: moved } = plan({ models: ["other", "base+./lora"], text: "tokenizer_source: union" });
    const last = moved.ops.find(({ tensor }) => tensor === EMBEDDING)?.inputs.at(-1);
    expect(last?.gather?.pieces.map(({ view }) => view.patches?.length)).toContain(1);
    const { plan: found } = plan({ models: ["base+./lora", "base"], text });
    const op = found.ops.find(({ tensor }) => tensor === EMBEDDING);
    expect(op?.inputs.map(({ view, gather }) => [view.patches?.length, gather])).toEqual([
      [1, undefined],
      [undefined, undefined],
    ]);
  });

  test("padding is the mean of all rows, and vocab_size counts it", () => {
    const text = "tokenizer: {source: union, pad_to_multiple_of: 8}";
    const { plan: found } = plan({ models: ["base", "other"], base: "base", text });
    expect(rowsOf(found, 0).slice(6)).toEqual(["mean", "mean"]);
    expect(JSON.parse(sideText(found, "config.json") ?? "").vocab_size).toBe(8);
    expect(planText(found)).toContain("tokens   6, and 2 rows of padding");
  });

  test("one tokenizer for all needs no gathering", () => {
    const { plan: found } = plan({ models: ["base", "base"], base: "base", text: "tokenizer_source: union" });
    for (const { inputs } of found.ops) for (const { gather } of inputs) expect(gather).toBeUndefined();
  });

  test("an untied head is gathered as its embedding is, and a tied one follows", () => {
    const { plan: tied } = plan({ models: ["base", "other"], base: "base", text: "tokenizer_source: union" });
    expect(tied.tied.map(({ tensor }) => tensor)).toEqual(["lm_head.weight"]);
    const { plan: found } = plan({ models: ["base", "untied"], base: "base", text: "tokenizer_source: union" });
    for (const position of [0, 1]) {
      expect(rowsOf(found, position, "lm_head.weight")).toEqual(rowsOf(found, position));
    }
    const head = found.ops.find(({ tensor }) => tensor === "lm_head.weight");
    expect(head?.inputs.map(({ tensor }) => tensor)).toEqual([EMBEDDING, "lm_head.weight"]);
  });

  test("the hash of a plan depends on them", () => {
    const recipe = { models: ["base", "other"], base: "base" };
    const hash = (text: string) => planHash(plan({ ...recipe, text }).plan);
    const named = (token: string) =>
      `tokenizer: {source: base, tokens: {"a": {source: {kind: model_token, model: ./other, token: ${token}}}}}`;
    expect(hash(named("x"))).toBe(hash(named("x")));
    expect(hash(named("x"))).not.toBe(hash(named("y")));
  });
});

describe("tokens that a recipe names", () => {
  const recipe = { models: ["base", "other"], base: "base" };
  const tokens = (text: string) => plan({ ...recipe, text: `tokenizer: {source: base, tokens: {${text}}}` });

  test("take the row of a model, of another token, by id, or zeros, where a model lacks them", () => {
    const { plan: found, warnings } = tokens(
      `"x": {source: ./other}, "n": {source: {kind: model_token, model: ./base, token: c}},
       "m": {source: {kind: model_token, model: ./other, token_id: 7}}, "o": {source: {kind: zero}}`,
    );
    expect(rowsOf(found, 0).slice(4)).toEqual(["other:3", "base:2", "other:7", "0"]);
    expect(rowsOf(found, 1).slice(4)).toEqual(["other:3", "base:2", "other:7", "0"]);
    expect(warnings.map(({ code }) => code)).not.toContain("tokens-without-rows");
  });

  test("do so in every model with force", () => {
    expect(rowsOf(tokens(`"b": {source: ./other}`).plan, 0)[1]).toBe("base:1");
    expect(rowsOf(tokens(`"b": {source: ./other, force: true}`).plan, 0)[1]).toBe("other:2");
    expect(rowsOf(tokens(`"b": {source: {kind: zero}, force: true}`).plan, 1)[1]).toBe("0");
    expect(rowsOf(tokens(`"b": {force: true}`).plan, 1)[1]).toBe("base:1");
  });

  test("are zeros with a warning where nobody has them", () => {
    const { plan: found, warnings } = tokens(`"new": {}`);
    expect(rowsOf(found, 0)[4]).toBe("0");
    expect(warnings.find(({ code }) => code === "tokens-without-rows")?.message).toContain('"new"');
    expect(JSON.parse(sideText(found, "tokenizer.json") ?? "").added_tokens.at(-1)).toMatchObject({
      id: 4,
      content: "new",
    });
  });

  test.each([
    [`"a": {source: ./othr}`, /not among the merged models[\s\S]*did you mean/],
    [`"q": {source: ./other}`, /it has no token "q"/],
    [
      `"q": {source: {kind: model_token, model: ./other, token: "<S>"}}`,
      /it has no token "<S>"[\s\S]*did you mean "<s>"/,
    ],
    [`"q": {source: {kind: model_token, model: ./other, token_id: 8}}`, /id 8 lies beyond the 8 rows/],
  ])("and whose source is of no use are refused: %s", (text, message) => {
    expect(problems({ ...recipe, text: `tokenizer: {source: base, tokens: {${text}}}` })).toMatch(message);
  });
});

describe("tokenizers that are not as they should be", () => {
  test("a model without one is taken to have the base's, with a warning", () => {
    const { plan: found, warnings } = plan({ models: ["base", "bare"], base: "base", text: "tokenizer_source: union" });
    expect(rowsOf(found, 1)).toEqual(["bare:0", "bare:1", "bare:2", "bare:3"]);
    expect(warnings.map(({ code }) => code)).toContain("assumed-tokenizer");
  });

  test("a base without one is refused", () => {
    expect(problems({ models: ["base", "bare"], base: "bare", text: "tokenizer_source: union" })).toMatch(
      /has no tokenizer/,
    );
  });

  test("tokens beyond the matrix are left out, with a warning", () => {
    const { plan: found, warnings } = plan({
      models: ["beyond", "base"],
      base: "beyond",
      text: "tokenizer_source: base",
    });
    expect(rowsOf(found, 1)).toEqual(["base:0", "base:1", "base:2"]);
    expect(warnings.map(({ code }) => code)).toContain("tokens-beyond-rows");
    expect(JSON.parse(sideText(found, "tokenizer.json") ?? "").model.vocab).toEqual({ a: 0, b: 1, c: 2 });
  });

  test("rows beyond the tokens are left out, with a warning", () => {
    const { plan: found, warnings } = plan({
      models: ["other", "base"],
      base: "other",
      text: "tokenizer_source: base",
    });
    expect(found.ops.find(({ tensor }) => tensor === EMBEDDING)?.shape[0]).toBe(5);
    expect(warnings.map(({ code }) => code)).toContain("padding-trimmed");
  });

  test("one that does not parse is refused, whosever it is", () => {
    model("broken", ["a"], { files: { "tokenizer.json": "{" } });
    const text = "tokenizer_source: union";
    expect(problems({ models: ["base", "broken"], base: "base", text })).toMatch(/tokenizer.json does not read/);
  });
});

describe("the output's files", () => {
  test("of an unchanged tokenizer are copies", () => {
    const { plan: found } = plan({ models: ["base", "other"], base: "base", text: "tokenizer_source: base" });
    expect(found.sideFiles.find(({ name }) => name === "tokenizer.json")).toHaveProperty(
      "from",
      join(folder, "base/tokenizer.json"),
    );
  });

  test("of another model's tokenizer are that model's, and ids in configurations follow", () => {
    const files = { "generation_config.json": { eos_token_id: [3], bos_token_id: 2, temperature: 0.5 } };
    model("generating", ["a", "b", "c", "<s>"], { files });
    const { plan: found } = plan({
      models: ["generating", "other"],
      base: "generating",
      text: "tokenizer_source: ./other",
    });
    expect(found.sideFiles.find(({ name }) => name === "tokenizer.json")).toHaveProperty(
      "from",
      join(folder, "other/tokenizer.json"),
    );
    expect(JSON.parse(sideText(found, "generation_config.json") ?? "")).toEqual({
      eos_token_id: [0],
      bos_token_id: 1,
      temperature: 0.5,
    });
    // The tiny model's bos_token_id is 1, its token "b".
    expect(JSON.parse(sideText(found, "config.json") ?? "").bos_token_id).toBe(2);
  });

  test("of a union leave older formats of the vocabulary out", () => {
    model("old", ["a", "b"], { files: { "vocab.json": {}, "merges.txt": "", "special_tokens_map.json": {} } });
    const { plan: found } = plan({ models: ["old", "other"], base: "old", text: "tokenizer_source: union" });
    const names = found.sideFiles.map(({ name }) => name);
    expect(names).toContain("special_tokens_map.json");
    expect(names).not.toContain("vocab.json");
    const { model: written, added_tokens: added } = JSON.parse(sideText(found, "tokenizer.json") ?? "");
    expect(written.vocab).toEqual({ a: 0, b: 1, c: 2, x: 3, y: 4 });
    expect(added).toMatchObject([{ id: 5, content: "<s>", special: true }]);
  });

  test("may come from a model that is not merged", () => {
    const { plan: found, warnings } = plan({
      models: ["base", "third"],
      base: "base",
      text: "tokenizer_source: ./other",
    });
    expect(rowsOf(found, 1)).toEqual(["base:3", "base:2", "base:1", "0", "third:0"]);
    expect(warnings.map(({ code }) => code)).toContain("tokens-without-rows");
  });
});

describe("chat templates", () => {
  const recipe = { models: ["base", "other"], base: "base" };
  const template = (text: string) =>
    sideText(plan({ ...recipe, text: `chat_template: ${text}` }).plan, "chat_template.jinja");

  test.each(["alpaca", "chatml", "exaone", "llama3", "mistral"])("%s is known by its name", (name) => {
    expect(template(name)).toContain("messages");
  });

  test("a text is taken as it is", () => {
    expect(template('"{% for m in messages %}{{ m.content }}{% endfor %}"')).toBe(
      "{% for m in messages %}{{ m.content }}{% endfor %}",
    );
  });

  test.each([
    ["chatmll", /did you mean chatml/],
    ["'{% for m in %}'", /does not render/],
    ["'{{ raise_exception(1) }}'", /does not render/],
    ["'{{ bos_token }}'", /leaves out what the user says/],
  ])("%s is refused", (text, message) => {
    expect(problems({ ...recipe, text: `chat_template: ${text}` })).toMatch(message);
  });

  test("auto takes what most models have, and replaces what older readers look at", () => {
    const common = "{{ messages[-1].content }}";
    model("one", ["a"], { files: { "tokenizer_config.json": { chat_template: "{{ messages }}" } } });
    model("two", ["a"], { files: { "chat_template.jinja": common } });
    model("three", ["a"], { files: { "tokenizer_config.json": { chat_template: common } } });
    const { plan: found } = plan({ models: ["one", "two", "three"], base: "one", text: "chat_template: auto" });
    expect(sideText(found, "chat_template.jinja")).toBe(common);
    expect(JSON.parse(sideText(found, "tokenizer_config.json") ?? "").chat_template).toBe(common);
  });

  test("auto without any template is a warning", () => {
    const { plan: found, warnings } = plan({ ...recipe, text: "chat_template: auto" });
    expect(sideText(found, "chat_template.jinja")).toBeUndefined();
    expect(warnings.map(({ code }) => code)).toContain("chat-template");
  });
});
