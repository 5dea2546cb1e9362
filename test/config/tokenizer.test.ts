import { describe, expect, test } from "bun:test";
import type { TokenizerConfig } from "../../src/config/types.ts";
import { at, problems, read } from "./reading.ts";

const config = (lines: string) => `merge_method: linear\nmodels: [{model: x}]\n${lines}\n`;
const tokenizer = (lines: string): TokenizerConfig | undefined => read(config(lines)).tokenizer;
const model = (path: string) => ({ ref: { model: { path } } });

describe("tokenizer_source", () => {
  test("is union, base or a model", () => {
    expect(tokenizer("tokenizer_source: union")).toEqual({ source: "union", tokens: new Map(), at: at(3, 19) });
    expect(tokenizer("tokenizer_source: base")?.source).toBe("base");
    expect(tokenizer("tokenizer_source: org/a")?.source).toMatchObject(model("org/a"));
    expect(tokenizer("tokenizer_source: {model: org/a}")?.source).toMatchObject(model("org/a"));
  });

  test("beside tokenizer is an error", () => {
    expect(problems(config("tokenizer_source: union\ntokenizer: {}"))).toEqual(["4:1 tokenizer-twice"]);
  });
});

describe("tokenizer", () => {
  test("is a union unless it names a source", () => {
    expect(tokenizer("tokenizer: {}")).toMatchObject({ source: "union", at: at(3, 12) });
    expect(tokenizer("tokenizer: {source: base, pad_to_multiple_of: 64}")).toMatchObject({
      source: "base",
      padToMultipleOf: 64,
    });
    expect(tokenizer("tokenizer: {pad_to_multiple_of: 0}")?.padToMultipleOf).toBeUndefined();
  });

  test("says where the embedding of a token comes from", () => {
    const text = `tokenizer:
  tokens:
    <|a|>: {source: org/a, force: true}
    <|b|>: {source: {kind: zero}}
    <|c|>: {source: {kind: model_token, model: org/c, token: "</s>"}}
    <|d|>: {source: {kind: model_token, model: org/d, token_id: 7}, force: "no"}
    <|e|>: {}`;
    const tokens = tokenizer(text)?.tokens;
    expect(tokens?.get("<|a|>")).toMatchObject({ source: { kind: "model", model: model("org/a") }, force: true });
    expect(tokens?.get("<|b|>")).toEqual({ source: { kind: "zero" }, force: false });
    expect(tokens?.get("<|c|>")).toMatchObject({
      source: { kind: "model_token", model: model("org/c"), token: "</s>" },
    });
    expect(tokens?.get("<|d|>")).toMatchObject({ source: { model: model("org/d"), token: 7 }, force: false });
    expect(tokens?.get("<|e|>")).toEqual({ source: undefined, force: false });
  });

  test.each([
    ["tokenizer: base", "3:12 config-type"],
    ["tokenizer: {source: 3}", "3:21 config-type"],
    ["tokenizer: {pad_to_multiple_of: -1}", "3:33 config-value"],
    ["tokenizer: {pad_to_multiple_of: 1.5}", "3:33 config-type"],
    ["tokenizer: {tokens: {5: {}}}", "3:22 config-type"],
    ["tokenizer: {tokens: {a: b}}", "3:25 config-type"],
    ["tokenizer: {tokens: {a: {force: 2}}}", "3:33 config-type"],
    ["tokenizer: {tokens: {a: {source: {kind: zro}}}}", "3:41 token-source"],
    ["tokenizer: {tokens: {a: {source: {kind: model_token, model: m}}}}", "3:34 token-source"],
    ["tokenizer: {tokens: {a: {source: {kind: model_token, token: t}}}}", "3:34 token-source"],
    ["tokenizer: {tokens: {a: {source: {kind: model_token, model: m, token: t, token_id: 1}}}}", "3:34 token-source"],
  ])("written %s is an error", (lines, problem) => {
    expect(problems(config(lines))).toEqual([problem]);
  });
});
