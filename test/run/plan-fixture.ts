import { onTestFinished } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { layOut } from "../../src/plan/layout.ts";
import type { PlacelessOp } from "../../src/plan/place.ts";
import type { MergePlan, SideFile } from "../../src/plan/types.ts";
import type { RunOptions } from "../../src/run/types.ts";

export interface Fixture {
  /** A fresh temporary folder with the models `a` and `b` in it. */
  root: string;
  /** Where the output goes: not there yet. */
  out: string;
  plan: MergePlan;
}

export interface FixtureOptions {
  /** Number of tensors, of 4 float32 elements each. */
  tensors?: number;
  /** Tensors per shard. */
  perShard?: number;
  format?: "safetensors" | "torch";
  sideFiles?: readonly SideFile[];
  /** First bytes of every tensor, and part of config.json: tells one model from another. */
  generation?: number;
}

/** Bytes of one tensor of the fixture. */
export const TENSOR_BYTES = 16;

export const OPTIONS: RunOptions = { force: false, resume: true, nan: "warn", sync: true };
export const SILENT = { progress() {} };

/** A folder that is removed after the test that asks for it. */
export function temporaryFolder(): string {
  const root = mkdtempSync(join(realpathSync(tmpdir()), "sinter-run-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  return root;
}

/** Two models of one raw file each, and a plan that takes tensors `t0`, `t1` … from both. */
export function fixture(options: FixtureOptions = {}): Fixture {
  const root = temporaryFolder();
  return { root, out: join(root, "out"), plan: fixturePlan(root, options) };
}

/** The plan of `fixture` in a folder of choice. */
export function fixturePlan(root: string, options: FixtureOptions = {}): MergePlan {
  const { tensors = 4, perShard = 2, format = "safetensors", generation = 1 } = options;
  const files = ["a", "b"].map((model) => {
    mkdirSync(join(root, model), { recursive: true });
    const path = join(root, model, `weights-${generation}.bin`);
    const bytes = Buffer.alloc(tensors * TENSOR_BYTES, generation);
    writeFileSync(path, bytes);
    return path;
  });
  writeFileSync(join(root, "a", "tokenizer.json"), `{"generation": ${generation}}`);
  const ops = Array.from({ length: tensors }, (_, i): PlacelessOp => {
    const inputs = files.map((file, position) => ({
      view: { file, offset: i * TENSOR_BYTES, dtype: "F32" as const, shape: [4] },
      model: position === 0 ? "model-a" : "model-b",
      tensor: `t${i}`,
      position,
    }));
    return { tensor: `t${i}`, dtype: "F32", shape: [4], kernel: "linear", inputs, params: [1, 1] };
  });
  const layout = layOut(ops, perShard * TENSOR_BYTES, format);
  return {
    method: "linear",
    seed: 0,
    models: ["model-a", "model-b"],
    baseModel: undefined,
    inputFiles: files.map((path) => ({ path, size: statSync(path).size })),
    ...layout,
    sideFiles: options.sideFiles ?? [
      { name: "config.json", text: `{"generation": ${generation}}` },
      { name: "tokenizer.json", from: join(root, "a", "tokenizer.json") },
    ],
    totals: {
      tensors,
      parameters: 4 * tensors,
      bytesRead: 2 * tensors * TENSOR_BYTES,
      bytesWritten: layout.shards.reduce((sum, shard) => sum + shard.size, 0),
    },
    tied: [],
    warnings: [],
  };
}
