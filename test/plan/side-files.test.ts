import { describe, expect, test } from "bun:test";
import type { MergeOptions } from "../../src/plan/types.ts";
import { plan, tinyModel } from "./models.ts";

const present = [
  "LICENSE",
  "README.md",
  "added_tokens.json",
  "chat_template.jinja",
  "config.json",
  "generation_config.json",
  "merges.txt",
  "model.safetensors.index.json",
  "special_tokens_map.json",
  "spiece.model",
  "tokenizer.json",
  "tokenizer_config.json",
  "training_args.bin",
  "vocab.json",
];
const yaml = "merge_method: passthrough\nmodels: [{model: a}]\n";
const copied = (options: Partial<MergeOptions>, sideFiles = present) =>
  plan(yaml, [tinyModel("a", { sideFiles })], options).plan.sideFiles.flatMap((file) => ("from" in file ? [file] : []));

describe("files that are copied", () => {
  test("are the donor's tokenizer and generation files, and no others", () => {
    expect(copied({}).map(({ name }) => name)).toEqual([
      "added_tokens.json",
      "chat_template.jinja",
      "generation_config.json",
      "merges.txt",
      "special_tokens_map.json",
      "spiece.model",
      "tokenizer.json",
      "tokenizer_config.json",
      "vocab.json",
    ]);
    expect(copied({})[0]?.from).toBe("/models/a/added_tokens.json");
  });

  test("without a tokenizer are the generation defaults alone", () => {
    expect(copied({ copyTokenizer: false }).map(({ name }) => name)).toEqual(["generation_config.json"]);
  });

  test("come from the base where there is one", () => {
    const ties = "merge_method: ties\nbase_model: base\nparameters: {weight: 1}\nmodels: [{model: a}]";
    const merged = plan(ties, [tinyModel("a"), tinyModel("base")]);
    expect(merged.plan.sideFiles).toContainEqual({ name: "tokenizer.json", from: "/models/base/tokenizer.json" });
  });

  test("a donor without a tokenizer is a warning, unless none was wanted", () => {
    const bare = tinyModel("a", { sideFiles: ["config.json"] });
    expect(plan(yaml, [bare]).report.warnings).toMatchObject([{ code: "no-tokenizer", model: "a" }]);
    expect(plan(yaml, [bare], { copyTokenizer: false }).warned).toEqual([]);
  });
});

describe("files that are made", () => {
  const made = (options: Partial<MergeOptions>) =>
    plan(yaml, [tinyModel("a")], options).plan.sideFiles.flatMap((file) => ("text" in file ? [file] : []));

  test("are config.json, the card and the configuration as it was written", () => {
    const files = made({});
    expect(files.map(({ name }) => name)).toEqual(["config.json", "README.md", "mergekit_config.yml"]);
    expect(files[2]?.text).toBe(yaml);
  });

  test("without a card are config.json alone", () => {
    expect(made({ writeModelCard: false }).map(({ name }) => name)).toEqual(["config.json"]);
  });
});
