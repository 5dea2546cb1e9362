import { describe, expect, test } from "bun:test";
import { Report } from "../../src/errors.ts";
import { readMixtureConfig } from "../../src/moe/config.ts";
import { configOf, problemsOf, recipe } from "./mixtures.ts";

describe("a configuration", () => {
  test("is read in full", () => {
    const config = configOf(`
base_model: org/base@main
architecture: Qwen
gate_mode: hidden_avg
dtype: bfloat16
experts_per_token: "1"
experts:
  - source_model: {model: {path: a}}
    positive_prompts: ["one", 'two']
    negative_prompts: ["three"]
    noise_scale: 1e-3
    residual_scale: 0.5
  - source_model: b
    positive_prompts: [four]
shared_experts:
  - source_model: c
    positive_prompts: [five]
`);
    expect(config).toMatchObject({
      baseModel: { ref: { model: { path: "org/base", revision: "main" } } },
      architecture: { name: "Qwen" },
      gateMode: "hidden_avg",
      dtype: "BF16",
      expertsPerToken: 1,
    });
    expect(config.experts).toMatchObject([
      { model: { ref: { model: { path: "a" } } }, positive: ["one", "two"], negative: ["three"] },
      { positive: ["four"], negative: [], noise: 0, residual: 1 },
    ]);
    expect(config.experts[0]).toMatchObject({ noise: 1e-3, residual: 0.5 });
    expect(config.shared).toMatchObject([{ positive: ["five"] }]);
  });

  test("has two experts per token and hidden states where it does not say", () => {
    const config = configOf(recipe().replace("gate_mode: cheap_embed\n", ""));
    expect(config).toMatchObject({ expertsPerToken: 2, gateMode: "hidden_last", architecture: undefined, shared: [] });
  });

  test("hidden is hidden_last", () => {
    expect(configOf(recipe("", "hidden")).gateMode).toBe("hidden_last");
  });

  test("warns of keys that it does not know, and refuses them where it is strict", () => {
    const yaml = recipe("expert_per_token: 2\n");
    const report = new Report();
    readMixtureConfig(yaml, "moe.yml", { strict: false }, report);
    expect(report.warnings).toMatchObject([{ code: "unknown-key", hint: 'did you mean "experts_per_token"?' }]);
    expect(problemsOf(() => readMixtureConfig(yaml, "moe.yml", { strict: true }, new Report()))).toHaveLength(1);
  });
});

describe("what is wrong is said with its place, all at once:", () => {
  const two = "experts: [{source_model: a, positive_prompts: [x]}, {source_model: b, positive_prompts: [y]}]\n";
  test.each([
    ["no base", two, [["missing-key", 1]]],
    ["no experts", "base_model: base\n", [["missing-key", 1]]],
    ["an empty list of experts", "base_model: base\nexperts: []\n", [["missing-key", 1]]],
    ["an expert without a model", "base_model: base\nexperts:\n  - {}\n", [["missing-key", 3]]],
    ["an unknown gate mode", `base_model: base\ngate_mode: cheap\n${two}`, [["unknown-gate-mode", 2]]],
    ["an unknown dtype", `base_model: base\ndtype: bf16\n${two}`, [["unknown-dtype", 2]]],
    ["no expert per token", `base_model: base\nexperts_per_token: 0\n${two}`, [["experts-per-token", 2]]],
    [
      "more experts per token than experts",
      `base_model: base\nexperts_per_token: 3\n${two}`,
      [["experts-per-token", 2]],
    ],
    [
      "fewer experts than two",
      "base_model: base\nexperts: [{source_model: a, positive_prompts: [x]}]\n",
      [["experts-per-token", 1]],
    ],
    ["half an expert per token", `base_model: base\nexperts_per_token: 1.5\n${two}`, [["config-type", 2]]],
    ["prompts that are no list", `base_model: base\n${two.replace("[x]", "x")}`, [["config-type", 2]]],
    ["a prompt that is a number", `base_model: base\n${two.replace("[x]", "[1]")}`, [["config-type", 2]]],
    ["an endless scale", `base_model: base\n${two.replace("[x]", "[x], noise_scale: .inf")}`, [["config-value", 2]]],
  ] as const)("%s", (_, yaml, expected) => {
    const found = problemsOf(() => configOf(yaml));
    expect(found.map(({ code, at }) => [code, at?.line])).toEqual(expected.map(([code, line]) => [code, line]));
  });

  test("a gate mode that is nearly one", () => {
    const [problem] = problemsOf(() => configOf(recipe("", "cheap_embd")));
    expect(problem?.hint).toContain('did you mean "cheap_embed"');
  });
});

describe("prompts", () => {
  const experts = (...lines: string[]) => `base_model: base\ngate_mode: cheap_embed\nexperts:\n${lines.join("\n")}\n`;
  const expert = (model: string, positive?: string, negative?: string) =>
    `  - {source_model: ${model}${positive ? `, positive_prompts: [${positive}]` : ""}${negative ? `, negative_prompts: [${negative}]` : ""}}`;

  const found = (yaml: string) => problemsOf(() => configOf(yaml)).map(({ code, at }) => [code, at?.line]);

  test("are missed for each expert that has none", () => {
    expect(found(experts(expert("a"), expert("b"), expert("c", "x")))).toEqual([
      ["no-prompts", 4],
      ["no-prompts", 5],
    ]);
  });

  test("are for nothing where routers are random, and so are differences between experts", () => {
    for (const mode of ["random", "uniform_random"]) {
      const yaml = experts(expert("a"), expert("a")).replace("cheap_embed", mode);
      expect(configOf(yaml).experts).toHaveLength(2);
    }
  });

  test("must not be the same for all experts, negative ones included", () => {
    expect(found(experts(expert("a", "x"), expert("b", "x")))).toEqual([["same-prompts", 5]]);
    expect(configOf(experts(expert("a", "x", "y"), expert("b", "x"))).experts).toHaveLength(2);
    expect(configOf(experts(expert("a", "x"), expert("b", "x"), expert("c", "y"))).experts).toHaveLength(3);
  });

  test("must not cancel each other out", () => {
    expect(found(experts(expert("a", "x, y", "y, x"), expert("b", "z")))).toEqual([["same-prompts", 4]]);
  });

  test("do not make a mixture of one model useful", () => {
    const yaml = experts(expert("a", "x"), expert("a", "y"));
    expect(found(yaml)).toEqual([["same-experts", 5]]);
    expect(configOf(yaml, true).experts).toHaveLength(2);
  });

  test("of a shared expert are not negative ones alone", () => {
    const yaml = `${experts(expert("a", "x"), expert("b", "y"))}shared_experts:\n${expert("c", undefined, "z")}\n`;
    expect(found(yaml)).toEqual([["no-prompts", 7]]);
  });
});
