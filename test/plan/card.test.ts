import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import pkg from "../../package.json" with { type: "json" };
import { plan, sideText, tinyModel } from "./models.ts";

const card = (yaml: string, ...names: string[]) => {
  const text = sideText(
    plan(
      yaml,
      names.map((name) => tinyModel(name)),
    ).plan,
    "README.md",
  );
  const [, front = "", body = ""] = /^---\n(.*?\n)---\n(.*)$/s.exec(text) ?? [];
  return { front: parse(front), body };
};
const average = (a: string, b: string) =>
  `merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: ${a}}, {model: ${b}}]`;

describe("the model card", () => {
  test("has front matter for the Hub: base models, library, tags", () => {
    expect(card(average("org/one", "org/two"), "org/one", "org/two").front).toEqual({
      base_model: ["org/one", "org/two"],
      base_model_relation: "merge",
      library_name: "transformers",
      tags: ["mergekit", "merge", "sinter"],
    });
  });

  test("says which version made the model", () => {
    expect(card(average("org/one", "org/two"), "org/one", "org/two").body).toContain(
      `Merged with Sinter ${pkg.version} by`,
    );
  });

  test("names models of the Hub without the scheme that a recipe may write", () => {
    const { front, body } = card(average("hf://org/one", "hf://gpt2"), "hf://org/one", "hf://gpt2");
    expect(front.base_model).toEqual(["org/one", "gpt2"]);
    expect(body).toContain("- [org/one](https://huggingface.co/org/one)");
  });

  test("names no local path as a base model", () => {
    const { front } = card(average("./models/a", "/data/b"), "./models/a", "/data/b");
    expect(front).toEqual({ library_name: "transformers", tags: ["mergekit", "merge", "sinter"] });
  });

  test("takes a name with one slash for a folder where there is one", () => {
    const root = mkdtempSync(join(tmpdir(), "sinter-card-"));
    const before = process.cwd();
    try {
      process.chdir(root);
      mkdtempSync("models-");
      const [folder = ""] = [...new Bun.Glob("models-*").scanSync({ onlyFiles: false })];
      expect(card(average(folder, "org/two"), folder, "org/two").front.base_model).toEqual(["org/two"]);
    } finally {
      process.chdir(before);
      rmSync(root, { recursive: true, force: true });
    }
  });

  test("is titled as the output folder, and tells method, base and models", () => {
    const yaml =
      "merge_method: ties\nbase_model: org/base\nparameters: {weight: 1}\nmodels: [{model: org/a}, {model: ./b}]";
    const { body } = card(yaml, "org/base", "org/a", "./b");
    expect(body).toContain("\n# my-merge\n");
    expect(body).toContain("[TIES](https://arxiv.org/abs/2306.01708)");
    expect(body).toContain("with [org/base](https://huggingface.co/org/base) as the base");
    expect(body).toContain("- [org/a](https://huggingface.co/org/a)\n- `./b`\n");
  });

  test("holds the configuration as it was written, in a fence that it cannot close", () => {
    const yaml = `# \`\`\` comment\n${average("a", "b")}\n`;
    expect(card(yaml, "a", "b").body).toContain(`\n\`\`\`\`yaml\n${yaml}\`\`\`\`\n`);
    expect(card(average("a", "b"), "a", "b").body).toContain("\n```yaml\n");
  });
});
