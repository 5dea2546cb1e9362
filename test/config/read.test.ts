import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadMergeConfig } from "../../src/config/read.ts";
import { Report, SinterError } from "../../src/errors.ts";
import { at, problems, read, warnings } from "./reading.ts";

const MODELS = "models:\n  - model: a\n  - model: b\n";

describe("a configuration", () => {
  test("gives its method, base, dtypes and parameters, each with its place", () => {
    const text = `merge_method: ties\n${MODELS}base_model: c@main\ndtype: torch.bfloat16\nout_dtype: float16\nparameters:\n  lambda: 0.5\n`;
    const config = read(text);
    expect(config).toMatchObject({ file: "f.yml", text, mergeMethod: "ties", dtype: "BF16", outDtype: "F16" });
    expect(config.mergeMethodAt).toEqual(at(1, 15));
    expect(config.baseModel).toEqual({ ref: { model: { path: "c", revision: "main" } }, at: at(5, 13) });
    expect(config.parameters.get("lambda")).toEqual({ lines: [{ value: 0.5 }], at: at(9, 11) });
    expect(config.body).toMatchObject({ kind: "whole", composition: { kind: "models" } });
  });

  test("leaves out what is null or not there", () => {
    const config = read(
      `merge_method: linear\n${MODELS}base_model:\ndtype: ~\nparameters: null\nslices: []\nmodules: {}\n`,
    );
    expect(config.baseModel).toBeUndefined();
    expect(config.dtype).toBeUndefined();
    expect(config.tokenizer).toBeUndefined();
    expect(config.chatTemplate).toBeUndefined();
    expect(config.parameters.size).toBe(0);
  });

  test("without a method is an error", () => {
    expect(problems(MODELS)).toEqual(["1:1 missing-key"]);
  });

  test("with an unknown dtype is an error that names the nearest", () => {
    expect(problems(`merge_method: linear\n${MODELS}dtype: bfloat\nout_dtype: int4\n`)).toEqual([
      "5:8 unknown-dtype",
      "6:12 unknown-dtype",
    ]);
    expect(() => read(`merge_method: linear\n${MODELS}dtype: bfloat15\n`)).toThrow('did you mean "bfloat16"?');
  });

  test("with several errors reports all of them", () => {
    const text = "merge_method: 3\nmodels:\n  - model: a@b@c\n    parameters: {weight: abc}\ndtype: float8\n";
    expect(problems(text)).toEqual(["1:15 config-type", "3:12 model-name", "4:26 config-type", "5:8 unknown-dtype"]);
  });

  test("takes a chat template as text", () => {
    const config = read(`merge_method: linear\n${MODELS}chat_template: |\n  {{ a }}`);
    expect(config.chatTemplate).toEqual({ text: "{{ a }}", at: at(5, 16) });
    expect(problems(`merge_method: linear\n${MODELS}chat_template: [a]\n`)).toEqual(["5:16 config-type"]);
  });
});

describe("an unknown key", () => {
  const text = `merge_method: linear\nmodels:\n  - model: a\n    paramters: {}\n    weight: 1\ndtyp: float32\n`;

  test("warns with the nearest known one", () => {
    const found = warnings(text);
    expect(found.map(({ code }) => code)).toEqual(["unknown-key", "unknown-key", "unknown-key"]);
    expect(found.find(({ at: place }) => place?.line === 4)?.hint).toBe('did you mean "parameters"?');
    expect(found.find(({ at: place }) => place?.line === 5)?.hint).toContain('belong under "parameters"');
    expect(found.find(({ at: place }) => place?.line === 6)?.hint).toBe('did you mean "dtype"?');
  });

  test("is an error when strict", () => {
    expect(problems(text, true).toSorted()).toEqual(["4:5 unknown-key", "5:5 unknown-key", "6:1 unknown-key"]);
  });
});

describe("a configuration file", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sinter-config-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  function load(name: string, content?: string | Uint8Array) {
    const path = join(folder, name);
    if (content !== undefined) writeFileSync(path, content);
    return loadMergeConfig(path, { strict: false }, new Report());
  }

  function problemOf(name: string, content?: string | Uint8Array): string {
    try {
      load(name, content);
    } catch (error) {
      if (error instanceof SinterError) return `${error.problems[0]?.code}: ${error.problems[0]?.message}`;
      throw error;
    }
    throw new Error("no problem was found");
  }

  test("is read as UTF-8", () => {
    const config = load("good.yml", `merge_method: linear\nmodels: [{model: ./modèle}]\n`);
    expect(config.file).toBe(join(folder, "good.yml"));
    expect(config.body).toMatchObject({
      composition: { models: [{ model: { ref: { model: { path: "./modèle" } } } }] },
    });
  });

  test("that is missing, a folder, not UTF-8 or huge is a clear error", () => {
    expect(problemOf("missing.yml")).toMatch(/^config-file: .*missing\.yml does not exist$/);
    expect(problemOf(".")).toMatch(/^config-file: .* is a folder$/);
    expect(problemOf("latin1.yml", new Uint8Array([0x61, 0x3a, 0x20, 0xe9, 0x0a]))).toMatch(/is not UTF-8 text$/);
    expect(problemOf("huge.yml", new Uint8Array(17 * 1024 * 1024))).toMatch(/is too large for a configuration/);
  });
});
