import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { CONFIGURATION_DOC, configurationDoc } from "../../scripts/configuration-doc.ts";
import { ROOT } from "../../scripts/paths.ts";
import { readLayerStack } from "../../src/config/bakllama.ts";
import { readMultiConfig } from "../../src/config/multi.ts";
import { readMergeConfig } from "../../src/config/read.ts";
import { Report, SinterError } from "../../src/errors.ts";
import { methods } from "../../src/methods/index.ts";
import { readMixtureConfig } from "../../src/moe/config.ts";
import { SCHEMAS, schemaText } from "../../src/schema/index.ts";
import type { Schema } from "../../src/schema/parts.ts";
import { violations } from "./validator.ts";

const schema = (name: string): Schema => JSON.parse(schemaText(name));

/** The keys that a reader names where it meets one that it does not know. */
function knownKeys(read: (report: Report) => unknown): string[] {
  const report = new Report();
  try {
    read(report);
  } catch (error) {
    if (!(error instanceof SinterError)) throw error;
  }
  const unknown = report.warnings.find(
    ({ code, message }) => code === "unknown-key" && message.includes("qqqqqqqqqqqq"),
  );
  return (/known keys: ([^;]*)/.exec(unknown?.hint ?? "")?.[1] ?? "").split(", ").toSorted();
}

const merge = (text: string) => knownKeys((report) => readMergeConfig(text, "x.yml", { strict: false }, report));
const mixture = (text: string) => knownKeys((report) => readMixtureConfig(text, "x.yml", { strict: false }, report));
const stack = (text: string) => knownKeys((report) => readLayerStack(text, "x.yml", { strict: false }, report));
const multi = (text: string) => knownKeys((report) => readMultiConfig(text, "x.yml", { strict: false }, report));
const keys = (part: Schema | undefined) => Object.keys(part?.properties ?? {}).toSorted();
const X = "qqqqqqqqqqqq: 1";

describe("schemas have the keys that the readers know", () => {
  const { properties, $defs } = schema("merge");
  test("at the top of a merge", () => expect(keys(schema("merge"))).toEqual(merge(X)));
  test("in models", () => expect(keys($defs?.inputModel)).toEqual(merge(`models: [{${X}}]`)));
  test("in slices", () => expect(keys($defs?.slice)).toEqual(merge(`slices: [{${X}}]`)));
  test("in sources", () => expect(keys($defs?.source)).toEqual(merge(`slices: [{sources: [{${X}}]}]`)));
  test("in modules", () => expect(keys($defs?.module)).toEqual(merge(`modules: {a: {${X}}}`)));
  test("in tokenizer", () => expect(keys(properties?.tokenizer)).toEqual(merge(`tokenizer: {${X}}`)));
  test("in tokens", () => expect(keys($defs?.token)).toEqual(merge(`tokenizer: {tokens: {a: {${X}}}}`)));
  test("in a token's source", () => {
    expect(keys($defs?.tokenSource?.anyOf?.[2])).toEqual(
      merge(`tokenizer: {tokens: {a: {source: {kind: model_token, ${X}}}}}`),
    );
  });
  test("in a model", () => {
    expect(keys($defs?.model?.anyOf?.[1])).toEqual(merge(`base_model: {path: a, ${X}}`));
    expect(keys($defs?.model?.anyOf?.[2])).toEqual(merge(`base_model: {model: a, ${X}}`));
    expect(keys($defs?.modelPath?.anyOf?.[1])).toEqual(merge(`base_model: {model: {path: a, ${X}}}`));
  });
  test("of several merges", () => expect(keys(schema("multi"))).toEqual(multi(X)));
  test("of a mixture", () => {
    expect(keys(schema("moe"))).toEqual(mixture(X));
    expect(keys(schema("moe").$defs?.expert)).toEqual(mixture(`experts: [{${X}}]`));
  });
  test("of a stack", () => {
    expect(keys(schema("bakllama"))).toEqual(stack(X));
    expect(keys(schema("bakllama").$defs?.layers)).toEqual(stack(`layer_slices: [{${X}}]`));
  });
});

describe("schemas and examples", () => {
  const kinds: [folder: string, kindOf: (name: string) => string][] = [
    ["examples", () => "merge"],
    ["examples/moe", () => "moe"],
    ["examples/programs", (name) => ({ "multi.yml": "multi", "bakllama.yml": "bakllama" })[name] ?? "merge"],
  ];
  for (const [folder, kindOf] of kinds) {
    for (const name of readdirSync(join(ROOT, folder)).filter((file) => file.endsWith(".yml"))) {
      test(`${folder}/${name} is valid`, () => {
        const documents = parseAllDocuments(readFileSync(join(ROOT, folder, name), "utf8"), { version: "1.1" });
        for (const document of documents) expect(violations(schema(kindOf(name)), document.toJS())).toEqual([]);
      });
    }
  }

  test("slips are found", () => {
    const wrong = (value: unknown) => violations(schema("merge"), value);
    expect(wrong({ merge_method: "tise" })).not.toEqual([]);
    expect(wrong({ merge_method: "ties", modles: [] })).not.toEqual([]);
    expect(wrong({ merge_method: "ties", models: [{ model: "a", parameters: { wieght: 1 } }] })).not.toEqual([]);
    expect(wrong({ merge_method: "ties", models: [{ model: "a", parameters: { weight: [] } }] })).not.toEqual([]);
    expect(wrong({ merge_method: "ties", slices: [{ sources: [{ model: "a", layer_range: [1] }] }] })).not.toEqual([]);
    expect(wrong({ models: [] })).not.toEqual([]);
  });

  test("exactly one of models, slices and modules has something in it, as the reader has it", () => {
    const models = [{ model: "a" }];
    const slices = [{ sources: [{ model: "a", layer_range: [0, 1] }] }];
    const cases: [accepted: boolean, keys: object][] = [
      [true, { models }],
      [true, { slices, models: [] }],
      [true, { modules: { default: { slices } } }],
      [false, {}],
      [false, { models: [] }],
      [false, { models, slices }],
      [false, { modules: {} }],
      [false, { modules: { default: { models, slices } } }],
    ];
    for (const [accepted, some] of cases) {
      const config = { merge_method: "passthrough", ...some };
      expect([some, violations(schema("merge"), config).length === 0]).toEqual([some, accepted]);
      const read = () => readMergeConfig(JSON.stringify(config), "x.yml", { strict: true }, new Report());
      if (accepted) expect(read).not.toThrow();
      else expect(read).toThrow(/nothing to merge|has both/);
    }
  });

  test("what may be written otherwise is no slip", () => {
    for (const some of [
      { dtype: "torch.bfloat16" },
      { parameters: null },
      { models: [{ model: "a", parameters: null }] },
    ])
      expect(violations(schema("merge"), { merge_method: "linear", models: [{ model: "a" }], ...some })).toEqual([]);
    expect(
      violations(schema("merge"), { merge_method: "linear", models: [{ model: "a" }], dtype: "bf16" }),
    ).not.toEqual([]);
  });

  test("every method and every parameter is there", () => {
    const { properties, $defs } = schema("merge");
    expect(properties?.merge_method?.oneOf?.map((one) => one.const)).toEqual(methods.map(({ name }) => name));
    const names = new Set(methods.flatMap(({ parameters }) => parameters.map(({ name }) => name)));
    expect(keys($defs?.parameters)).toEqual([...names].toSorted());
  });
});

describe("made files are up to date; `bun run docs` writes them anew", () => {
  for (const name of Object.keys(SCHEMAS).filter((kind) => kind !== "architecture")) {
    test(`schemas/${name}.schema.json`, () => {
      expect(readFileSync(join(ROOT, "schemas", `${name}.schema.json`), "utf8")).toBe(schemaText(name));
    });
  }
  test("docs/configuration.md", () => expect(readFileSync(CONFIGURATION_DOC, "utf8")).toBe(configurationDoc()));
});
