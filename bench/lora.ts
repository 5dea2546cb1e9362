import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { familyTensors, QWEN2_05B } from "../scripts/family/shape.ts";
import type { Fact } from "./facts.ts";
import { sinter } from "./merge.ts";
import { measureProcess, median } from "./process.ts";

const REPETITIONS = 3;
const RANK = 64;

/**
 * Extraction at rank 32 over all linear layers, and a merge with an adapter of rank 64 over all of them against the same
 * merge without it. @param models a base and a fine-tune of Qwen2-0.5B's shape.
 */
export async function loraFacts(dir: string, base: string, tune: string): Promise<Fact[]> {
  const adapter = join(dir, "adapter-out");
  const extract = sinter("lora", "extract", tune, base, adapter, "--rank", "32", "--force", "--quiet");
  const seconds = (await measureProcess(extract, dir)).seconds;
  rmSync(adapter, { recursive: true, force: true });
  writeAdapter(join(dir, "adapter-64"));
  const without = config(dir, "without", [tune, base]);
  const applied = config(dir, "with", [tune, `${base}+${join(dir, "adapter-64")}`]);
  const ratios: number[] = [];
  for (let i = 0; i < REPETITIONS; i++) {
    const [first, second] = [await merge(dir, without), await merge(dir, applied)];
    ratios.push(second / first);
  }
  return [
    { what: "lora extract, rank 32, Qwen2-0.5B shape", value: seconds, target: 90, unit: "s" },
    {
      what: `linear with an adapter of rank ${RANK}, over without`,
      value: 100 * median(ratios),
      target: 150,
      unit: "%",
    },
  ];
}

async function merge(dir: string, file: string): Promise<number> {
  const out = join(dir, "lora-out");
  const { seconds } = await measureProcess(sinter("merge", file, out, "--force", "--quiet"), dir);
  rmSync(out, { recursive: true, force: true });
  return seconds;
}

function config(dir: string, name: string, models: readonly string[]): string {
  const entries = models.map((model) => `  - {model: ${JSON.stringify(model)}, parameters: {weight: 0.5}}`);
  const file = join(dir, "configs", `lora-${name}.yml`);
  writeFileSync(file, ["merge_method: linear", "models:", ...entries, "dtype: bfloat16", ""].join("\n"));
  return file;
}

/** An adapter in PEFT's layout; its numbers do not matter for the time that it takes. */
function writeAdapter(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const header: Record<string, unknown> = {};
  let offset = 0;
  const add = (name: string, shape: readonly [number, number]) => {
    const end = offset + 4 * shape[0] * shape[1];
    header[name] = { dtype: "F32", shape, data_offsets: [offset, end] };
    offset = end;
  };
  for (const { name, shape } of familyTensors(QWEN2_05B)) {
    if (!name.endsWith("_proj.weight")) continue;
    const [outputs = 0, inputs = 0] = shape;
    const module = `base_model.model.${name.slice(0, -".weight".length)}`;
    add(`${module}.lora_A.weight`, [RANK, inputs]);
    add(`${module}.lora_B.weight`, [outputs, RANK]);
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const data = new Float32Array(offset / 4).map((_, i) => ((i * 2654435761) % 1000) * 1e-5);
  writeFileSync(join(folder, "adapter_model.safetensors"), Buffer.concat([length, json, Buffer.from(data.buffer)]));
  const settings = { peft_type: "LORA", r: RANK, lora_alpha: RANK, target_modules: "all-linear" };
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(settings));
}
