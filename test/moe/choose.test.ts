import { describe, expect, test } from "bun:test";
import { tinyModel } from "../plan/models.ts";
import { planned, problemsOf, recipe, trio } from "./mixtures.ts";

const SHARED = "shared_experts: [{source_model: base}]\n";
const PROMPTED = "shared_experts: [{source_model: base, positive_prompts: [all]}]\n";
const qwen2 = () => trio({ class: "Qwen2ForCausalLM" });

const chosen = (...args: Parameters<typeof planned>) => planned(...args).config.model_type;

describe("the architecture", () => {
  test("is Mixtral where that fits", () => {
    expect(chosen(recipe(), trio())).toBe("mixtral");
    expect(chosen(recipe(), trio({ class: "MistralForCausalLM" }))).toBe("mixtral");
  });

  test("is the first that fits elsewhere", () => {
    expect(chosen(recipe(), qwen2())).toBe("qwen2_moe");
    expect(chosen(recipe(SHARED), trio())).toBe("deepseek");
    expect(chosen(recipe(PROMPTED), trio())).toBe("qwen2_moe");
    const several = planned(recipe("shared_experts: [{source_model: base}]\n", "random"), trio());
    expect(several.config.model_type).toBe("deepseek");
    expect(several.warned).toContain("several-architectures");
  });

  test.each([
    ["DEEP", "deepseek"],
    ["mixtral", "mixtral"],
    ["Qwen", "qwen2_moe"],
    ["qwen2", "qwen2_moe"],
    ["qwen2_moe", "qwen2_moe"],
  ])("is what %s is a start of, in capitals or not", (name, type) => {
    expect(chosen(recipe(`architecture: ${name}\n`), trio())).toBe(type);
  });

  test("that is unknown is refused, with what each known one has against the configuration", () => {
    const [problem] = problemsOf(() => planned(recipe(`architecture: Mixtrol\n${SHARED}`), trio()));
    expect(problem).toMatchObject({ code: "unknown-mixture", at: { line: 8 } });
    expect(problem?.message).toContain('unknown architecture "Mixtrol"');
    expect(problem?.message).toContain("Mixtral: it has no shared experts");
    expect(problem?.message).toContain("DeepSeek MoE: fits");
    expect(problem?.message).toContain("Qwen MoE: its shared expert has a gate, and needs prompts");
    expect(problem?.message).toContain("Qwen3 MoE: it is made of qwen3 models, and base is a llama");
  });

  test.each([
    ["a known one that does not fit", "architecture: mixtral\n", qwen2, "Mixtral cannot be made of this"],
    ["prompts for a shared expert without a gate", `architecture: deepseek\n${PROMPTED}`, trio, "takes no prompts"],
    [
      "two shared experts",
      `${SHARED.replace("}]", "}, {source_model: a}]")}`,
      trio,
      "at most one shared expert, and here are 2",
    ],
  ] as const)("%s is refused", (_, extra, models, message) => {
    const [problem] = problemsOf(() => planned(recipe(extra), models()));
    expect(problem?.code).toBe("no-mixture-fits");
    expect(problem?.message).toContain(message);
  });

  test("is none for models of several families", () => {
    const models = [...trio().slice(0, 2), tinyModel("b", { class: "MistralForCausalLM" })];
    const [problem] = problemsOf(() => planned(recipe(), models));
    expect(problem?.message).toContain("its models must be of one family, and base is a llama, b a mistral");
  });
});
