import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";

const work = new Workplace();
afterAll(() => work.remove());
// 4.8 MB of embeddings: more than a block of output, and no multiple of a page. The head as much again.
const model = { vocab: 150_001, tied: false, layers: 1 };
writeTinyModel(work.path("a"), { ...model, seed: 1 });
writeTinyModel(work.path("b"), { ...model, seed: 2 });

/** Merges with writes of one kind. @returns the output's only shard. */
async function shard(config: string, kind: string, ...options: string[]): Promise<Buffer> {
  const out = `out-${kind}-${config}`;
  const args = ["merge", config, out, "--quiet", "--force", ...options];
  const { exitCode, stderr } = await work.run("sinter", args, { SINTER_WRITE_PATH: kind });
  expect([exitCode, stderr]).toEqual([0, ""]);
  return readFileSync(work.path(out, "model.safetensors"));
}

describe("around the page cache and through it the same bytes are written", () => {
  const recipes: [string, string][] = [
    [
      "computed",
      "merge_method: linear\nmodels:\n  - {model: ./a, parameters: {weight: 1}}\n  - {model: ./b, parameters: {weight: 3}}\n",
    ],
    ["copied", "merge_method: passthrough\nmodels: [{model: ./a}]\n"],
    ["widened", "merge_method: passthrough\nmodels: [{model: ./a}]\ndtype: float32\n"],
  ];
  for (const [name, text] of recipes) {
    test(`of tensors that are ${name}`, async () => {
      const config = work.config(text);
      const flushed = await shard(config, "flushed");
      expect(Buffer.compare(await shard(config, "direct"), flushed)).toBe(0);
      expect(Buffer.compare(await shard(config, "direct", "--threads", "3"), flushed)).toBe(0);
    });
  }
});
