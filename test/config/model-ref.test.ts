import { describe, expect, test } from "bun:test";
import type { ModelRef } from "../../src/model/ref.ts";
import { problems, read, warnings } from "./reading.ts";

const config = (model: string) => `merge_method: linear\nmodels: [{model: x}]\nbase_model: ${model}\n`;
const ref = (model: string): ModelRef | undefined => read(config(model)).baseModel?.ref;

describe("a model", () => {
  test("is text: a path, a revision, an adapter", () => {
    expect(ref("./models/a")).toEqual({ model: { path: "./models/a" } });
    expect(ref("org/a@main+org/l@v1")).toEqual({
      model: { path: "org/a", revision: "main" },
      lora: { path: "org/l", revision: "v1" },
    });
  });

  test("is a path and a revision", () => {
    expect(ref("{path: org/a}")).toEqual({ model: { path: "org/a" } });
    expect(ref("{path: org/a, revision: main}")).toEqual({ model: { path: "org/a", revision: "main" } });
    expect(ref("{path: org/a, lora: l@v1}")).toMatchObject({
      model: { path: "org/a" },
      lora: { path: "l", revision: "v1" },
    });
  });

  test("is a mapping with model, lora and override_architecture", () => {
    expect(ref("{model: org/a@main, lora: l, override_architecture: LlamaForCausalLM}")).toEqual({
      model: { path: "org/a", revision: "main" },
      lora: { path: "l" },
      overrideArchitecture: "LlamaForCausalLM",
    });
    expect(ref("{model: {path: a, revision: r}, lora: {path: l, revision: s}}")).toEqual({
      model: { path: "a", revision: "r" },
      lora: { path: "l", revision: "s" },
    });
  });

  test("in a mapping keeps the signs that have a meaning in text", () => {
    expect(ref("{path: /data/a@b+c}")).toEqual({ model: { path: "/data/a@b+c" } });
    expect(ref("{model: a+b}")).toEqual({ model: { path: "a+b" } });
  });

  test.each([
    ["a@b@c", "3:13 model-name"],
    ["a+b+c", "3:13 model-name"],
    ["''", "3:13 model-name"],
    ["{path: ' '}", "3:20 model-name"],
    ["{model: a@b@c}", "3:21 model-name"],
    ["123", "3:13 config-type"],
    ["[a]", "3:13 config-type"],
    ["{}", "3:13 missing-key"],
    ["{lora: l}", "3:13 missing-key"],
    ["{model: {revision: r}}", "3:21 missing-key"],
    ["{path: a, revision: 12}", "3:33 config-type"],
    ["{model: a, lora: [l]}", "3:30 config-type"],
  ])("written %s is an error", (model, problem) => {
    expect(problems(config(model))).toEqual([problem]);
  });

  test("that looks like a number is an error that shows the quotes to write", () => {
    expect(() => read(config("017"))).toThrow('put it in quotes: "017"');
  });

  test("with a revision beside model, where mergekit does not read it, warns", () => {
    expect(warnings(config("{model: a, revision: main}"))).toMatchObject([{ code: "unknown-key" }]);
  });
});
