import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tensorBytes } from "../../src/plan/place.ts";
import { tinyModel } from "../plan/models.ts";
import { writeSafetensors } from "../support/safetensors.ts";

/** Writes two tiny llama models, `a` full of ones and `b` full of threes, and `linear.yml` that averages them. */
export function writeTinyModels(folder: string): void {
  for (const [name, high] of [
    ["a", 0x3f80],
    ["b", 0x4040],
  ] as const) {
    const dir = join(folder, name);
    mkdirSync(dir, { recursive: true });
    const model = tinyModel(name);
    const tensors = [...model.tensors].map(([tensor, { dtype, shape }]) => {
      const bytes = new Uint8Array(new Uint16Array(tensorBytes({ dtype, shape }) / 2).fill(high).buffer);
      return [tensor, { dtype, shape, bytes }] as const;
    });
    writeSafetensors(join(dir, "model.safetensors"), new Map(tensors));
    writeFileSync(join(dir, "config.json"), JSON.stringify(model.config));
    writeFileSync(join(dir, "tokenizer.json"), "{}");
  }
  writeFileSync(join(folder, "linear.yml"), linear("./b"));
}

/** The average of `a` and another model. */
export function linear(other: string): string {
  return `merge_method: linear
models:
  - {model: ./a, parameters: {weight: 1.0}}
  - {model: ${other}, parameters: {weight: 1.0}}
dtype: bfloat16
`;
}
