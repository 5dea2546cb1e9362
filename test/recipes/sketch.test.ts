import { expect, test } from "bun:test";
import { join } from "node:path";
import { readMultiConfig } from "../../src/config/multi.ts";
import { Report } from "../../src/errors.ts";
import { filesOf } from "../../src/plan/reads.ts";
import { DEFAULT_OPTIONS } from "../../src/plan/types.ts";
import { planMulti } from "../../src/recipes/multi-plan.ts";

const MODELS = join(import.meta.dir, "..", "conformance", "subset", "models");

const TEXT = `
name: middle
merge_method: linear
models:
  - {model: ${MODELS}/llama-base+${MODELS}/llama-lora, parameters: {weight: 1}}
  - {model: ${MODELS}/llama-a, parameters: {weight: 1}}
---
merge_method: linear
tokenizer_source: union
models:
  - {model: middle+${MODELS}/llama-lora, parameters: {weight: 1}}
  - {model: ${MODELS}/llama-tokb, parameters: {weight: 1}}
`;

test("plans over sketches name the files that will be there, rows gathered by token and adapters included", () => {
  const report = new Report();
  const multi = readMultiConfig(TEXT, "multi.yml", { strict: true }, report);
  const [, final] = planMulti(multi, DEFAULT_OPTIONS, { intermediate: "/x/between", out: "/x/merged" }, report);
  const files = new Set(final?.plan.ops.flatMap(({ inputs }) => inputs.flatMap(filesOf)));
  expect([...files].toSorted()).toEqual(
    [
      "/x/between/middle/model.safetensors",
      join(MODELS, "llama-lora", "adapter_model.safetensors"),
      join(MODELS, "llama-tokb", "model.safetensors"),
    ].toSorted(),
  );
  expect(final?.plan.inputFiles.map(({ path }) => path).toSorted()).toEqual([...files].toSorted());
});
