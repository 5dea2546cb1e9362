import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readMergeConfig } from "../../src/config/read.ts";
import { Report } from "../../src/errors.ts";
import { methods } from "../../src/methods/index.ts";
import { planHash } from "../../src/plan/hash.ts";
import { normalText, optionText, recipeOptions } from "../../src/plan/recipe.ts";
import { DEFAULT_OPTIONS } from "../../src/plan/types.ts";
import { plan, sideText, tinyModel } from "./models.ts";

const MODELS = ["base", "a", "b", "org/c@main+x"].map((name) => tinyModel(name.replace(/[@+].*/, ""), { layers: 4 }));
const normal = (yaml: string) => normalText(readMergeConfig(yaml, "f.yml", { strict: false }, new Report()));

/** Values for parameters that have no default. */
const REQUIRED: Record<string, string> = { weight: "0.5", t: "0.4" };

describe("the normal form", () => {
  test.each(methods.map((method) => [method.name, method] as const))(
    "of %s spells out every default",
    (name, method) => {
      const two = method.models.max >= 2 && method.base !== "required";
      const base = method.base === "required" ? "base_model: base\n" : "";
      const models = two ? "models: [{model: a}, {model: b}]" : "models: [{model: base}, {model: a}]";
      const required = method.parameters
        .filter(({ required }) => required)
        .map(({ name }) => `${name}: ${REQUIRED[name] ?? 1}`);
      const parameters = required.length === 0 ? "" : `parameters: {${required.join(", ")}}\n`;
      const text = normal(`merge_method: ${name}\n${base}${parameters}${models}\n`);
      for (const { name: parameter, default: value } of method.parameters) {
        const written = String(value).replace(/^(\d+)e/, "$1.0e");
        if (value !== undefined) expect(text).toContain(`\n  ${parameter}: ${written}\n`);
      }
      expect(normal(text)).toBe(text);
    },
  );

  test("is null where nothing is set, and has the dtype of the output", () => {
    const text = normal("merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: a}]\ndtype: half\n");
    for (const line of [
      "base_model: null",
      "tokenizer: null",
      "chat_template: null",
      "dtype: float16",
      "out_dtype: float16",
    ]) {
      expect(text).toContain(`${line}\n`);
    }
  });

  test("puts a default after the filters that leave tensors to it", () => {
    const yaml = "merge_method: ties\nbase_model: base\nmodels: [{model: a, parameters: {weight: 1}}]\n";
    const text = normal(`${yaml}parameters: {density: [{filter: mlp, value: 0.3}]}\n`);
    expect(text).toContain("  density:\n    - filter: mlp\n      value: 0.3\n    - value: 1\n");
  });

  test("keeps models that text cannot name as mappings", () => {
    const model = "{model: {path: 'a@b+c', revision: main}, override_architecture: LlamaForCausalLM}";
    const text = normal(`merge_method: passthrough\nmodels: [{model: ${model}}]\n`);
    expect(text).toContain("path: a@b+c\n");
    expect(normal(text)).toBe(text);
  });

  test("keeps the tokenizer and its tokens", () => {
    const tokens =
      "tokens: {'<s>': {source: a, force: true}, x: {source: {kind: model_token, model: b, token_id: 3}}, y: {source: {kind: zero}}, z: {}}";
    const yaml = `merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: a}, {model: b}]\ntokenizer: {source: union, ${tokens}, pad_to_multiple_of: 8}\nchat_template: "a\\nb"\n`;
    const text = normal(yaml);
    const parse = (from: string) => {
      const { tokenizer, chatTemplate } = readMergeConfig(from, "f.yml", { strict: true }, new Report());
      const strip = (value: unknown): unknown =>
        JSON.parse(
          JSON.stringify(value, (key, inner) => (key === "at" ? undefined : inner instanceof Map ? [...inner] : inner)),
        );
      return strip([tokenizer, chatTemplate]);
    };
    expect(parse(text)).toEqual(parse(yaml));
  });

  test("gives the same plan, and is its own normal form", () => {
    const value = fc.double({ min: 0.01, max: 1, noNaN: true });
    const gradient = fc.array(value, { minLength: 1, maxLength: 3 });
    const lines = fc.oneof(
      value.map((one) => `${one}`),
      gradient.map((list) => `[${list}]`),
      fc.tuple(value, gradient).map(([one, list]) => `[{filter: self_attn, value: [${list}]}, {value: ${one}}]`),
    );
    const recipe = fc.record({
      weights: fc.tuple(lines, lines),
      density: fc.option(lines, { nil: undefined }),
      normalize: fc.option(fc.boolean(), { nil: undefined }),
      dtype: fc.option(fc.constantFrom("float32", "float16"), { nil: undefined }),
      outDtype: fc.option(fc.constantFrom("float32", "bfloat16"), { nil: undefined }),
      sliced: fc.boolean(),
    });
    fc.assert(
      fc.property(recipe, ({ weights, density, normalize, dtype, outDtype, sliced }) => {
        const given = [
          density === undefined ? "" : `  density: ${density}\n`,
          normalize === undefined ? "" : `  normalize: ${normalize}\n`,
        ].join("");
        const source = (model: string, weight: string, range: string) =>
          `{model: ${model}, ${range}parameters: {weight: ${weight}}}`;
        const list = (range: string) =>
          `[${source("a", weights[0], range)}, ${source("b", weights[1], range)}, {model: base${range && `, ${range.slice(0, -2)}`}}]`;
        const body = sliced
          ? `slices:\n  - sources: ${list("layer_range: [0, 2], ")}\n  - sources: ${list("layer_range: [1, 4], ")}\n`
          : `models: ${list("")}\n`;
        const yaml = `merge_method: ties\nbase_model: base\n${body}${given && `parameters:\n${given}`}${dtype ? `dtype: ${dtype}\n` : ""}${outDtype ? `out_dtype: ${outDtype}\n` : ""}`;
        const text = normal(yaml);
        expect(normal(text)).toBe(text);
        expect(planHash(plan(text, MODELS).plan)).toBe(planHash(plan(yaml, MODELS).plan));
      }),
      { numRuns: 40 },
    );
  });
});

describe("what goes with a merge", () => {
  const yaml = "merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: a}, {model: b}]\n";

  test("the card has the recipe in normal form, the plan's hash, and the command", () => {
    const planned = plan(yaml, MODELS, { seed: 7, lmHead: "materialize" }).plan;
    const card = sideText(planned, "README.md");
    expect(card).toContain(`\`\`\`yaml\n${normal(yaml)}\`\`\``);
    expect(card).toContain(planHash(planned));
    expect(card).toContain("sinter merge mergekit_config.yml OUT --seed 7 --lm-head materialize`");
    expect(planned.recipe).toEqual({
      program: "merge",
      text: normal(yaml),
      options: recipeOptions({ ...DEFAULT_OPTIONS, seed: 7, lmHead: "materialize" }),
    });
  });

  test("options that are the defaults are not typed", () => {
    expect(optionText(recipeOptions(DEFAULT_OPTIONS))).toBe("");
    const all = {
      seed: 1,
      outShardSize: 9,
      safeSerialization: false,
      lmHead: "tied",
      allowCrimes: true,
      copyTokenizer: false,
      writeModelCard: false,
    } as const;
    expect(optionText(all)).toBe(
      " --seed 1 --out-shard-size 9 --lm-head tied --no-safe-serialization --allow-crimes --no-copy-tokenizer --no-write-model-card",
    );
  });
});
