import { afterAll, expect, test } from "bun:test";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { archive, dict, legacy, tensor } from "../model/torch/written.ts";
import type { StoredTensor } from "../support/safetensors.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";

const work = new Workplace();
afterAll(() => work.remove());

writeTinyModel(work.path("base"), { seed: 1 });
const b = writeTinyModel(work.path("b"), { seed: 2 });

/** Matrices as views of their transposes, all else as it is; every tensor is of 2 bytes an element. */
function views(tensors: ReadonlyMap<string, StoredTensor>) {
  const storages: Record<string, Uint8Array> = {};
  const written: Record<string, Uint8Array> = {};
  for (const [name, { shape, bytes }] of tensors) {
    const key = String(Object.keys(storages).length);
    const [rows = 0, columns] = shape;
    storages[key] = columns === undefined ? bytes : transposed(bytes, rows, columns);
    const strides = columns === undefined ? [1] : [1, rows];
    written[name] = tensor(key, { shape, strides, type: "BFloat16Storage" });
  }
  return { root: dict(written), storages };
}

function transposed(bytes: Uint8Array, rows: number, columns: number): Uint8Array {
  const from = new Uint16Array(bytes.slice().buffer);
  const to = Uint16Array.from(from, (_, i) => from[(i % rows) * columns + Math.floor(i / rows)] as number);
  return new Uint8Array(to.buffer);
}

test.each([
  ["archive", (root: Uint8Array, storages: Record<string, Uint8Array>) => archive(root, storages)],
  ["legacy", (root: Uint8Array, storages: Record<string, Uint8Array>) => legacy(root, storages, { elementBytes: 2 })],
])("views of transposed storages merge as the tensors that they are: %s", async (name, write) => {
  cpSync(work.path("b"), work.path(name), { recursive: true });
  rmSync(work.path(name, "model.safetensors"));
  const { root, storages } = views(b);
  writeFileSync(work.path(name, "pytorch_model.bin"), write(root, storages));
  const outputs: Buffer[] = [];
  for (const model of ["b", name]) {
    const config = work.config(
      `merge_method: ties\nbase_model: ./base\nmodels:\n  - {model: ./${model}, parameters: {weight: 0.7, density: 0.6}}\ndtype: bfloat16\n`,
    );
    const { exitCode, stderr } = await work.run("sinter", ["merge", config, `out-${name}-${model}`]);
    expect([exitCode, stderr]).toEqual([0, expect.not.stringContaining("error:")]);
    outputs.push(readFileSync(work.path(`out-${name}-${model}`, "model.safetensors")));
  }
  expect(Buffer.compare(outputs[0] as Buffer, outputs[1] as Buffer)).toBe(0);
});
