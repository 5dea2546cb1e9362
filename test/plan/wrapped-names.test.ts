import { describe, expect, test } from "bun:test";
import { plan, problems } from "./models.ts";
import { recordedAs } from "./recorded-models.ts";

const linear = "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}";
const RECORDS = [
  "llama-untied",
  "qwen3_moe-tied",
  "gpt2-lm-tied",
  "bert-maskedlm-untied",
  "t5",
  "llava-llama-clip-untied",
];

describe("a model saved from within a wrapper", () => {
  describe.each(RECORDS)("%s", (record) => {
    test.each(["module.", "_orig_mod.", "model.module."])("is understood under the prefix %s", (wrapper) => {
      const usual = recordedAs("a", record);
      const wrapped = recordedAs("b", record, {}, (tensor) => wrapper + tensor);
      const merged = plan(linear, [usual, wrapped]);
      expect(merged.warned).toEqual([]);
      expect(merged.plan.ops.map(({ tensor }) => tensor).sort()).toEqual([...usual.tensors.keys()].sort());
      for (const { tensor, inputs } of merged.plan.ops) {
        expect(inputs.map((input) => `${input.model} ${input.tensor}`)).toEqual([
          `a ${tensor}`,
          `b ${wrapper}${tensor}`,
        ]);
      }
    });
  });

  test("gives the output its names where it comes first", () => {
    const wrapped = recordedAs("a", "llama-untied", {}, (tensor) => `module.${tensor}`);
    const merged = plan(linear, [wrapped, recordedAs("b", "llama-untied")]);
    expect(merged.op("module.lm_head.weight").inputs.map(({ tensor }) => tensor)).toEqual([
      "module.lm_head.weight",
      "lm_head.weight",
    ]);
  });
});

test("the decoder of a vision-language model may stand under names of the class without a head", () => {
  const bare = recordedAs("b", "llava-llama-clip-untied", {}, (tensor) =>
    tensor.replace(/^language_model\.model\./, "language_model.").replace(/^language_model\.lm_head/, "lm_head"),
  );
  const merged = plan(linear, [recordedAs("a", "llava-llama-clip-untied"), bare]);
  expect(merged.warned).toEqual([]);
  expect(merged.plan.ops.every(({ inputs }) => inputs.length === 2)).toBe(true);
});

test("a part that a model lacks is not looked for in another part", () => {
  const text = recordedAs("b", "llava-llama-clip-untied", {}, (tensor) =>
    tensor.startsWith("language_model.") ? undefined : tensor,
  );
  const found = problems(linear, [recordedAs("a", "llava-llama-clip-untied"), text]);
  expect(found[0]).toMatchObject({ code: "missing-tensor", model: "b" });
});
