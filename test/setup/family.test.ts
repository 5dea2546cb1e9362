import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkTies } from "../../scripts/demo/check.ts";
import { readTensor, tensorPlaces } from "../../scripts/demo/tensor-files.ts";
import { type FamilyShape, familyTensors, QWEN2_05B } from "../../scripts/family/shape.ts";
import { type Family, writeFamily, writeSparseModel } from "../../scripts/family/write.ts";

const SHAPE: FamilyShape = { hidden: 64, intermediate: 96, layers: 2, heads: 4, kvHeads: 2, vocab: 300 };
const FAMILY: Family = {
  shape: SHAPE,
  models: [
    { name: "base", noise: 0 },
    { name: "tune", noise: 3e-4 },
  ],
  shardBytes: 80_000,
};

const root = mkdtempSync(join(tmpdir(), "sinter-family-"));
afterAll(() => rmSync(root, { recursive: true }));

function written(name: string): string {
  const folder = join(root, name);
  writeFamily(folder, FAMILY);
  return folder;
}

const first = written("first");

test("Qwen2-0.5B has 494 million parameters in 290 tensors", () => {
  const tensors = familyTensors(QWEN2_05B);
  const parameters = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  expect(tensors.length).toBe(290);
  expect(parameters).toBe(494_032_768);
});

test("the same family has the same bytes", () => {
  const second = written("second");
  for (const file of ["model-00001-of-00003.safetensors", "tokenizer.json", "model.safetensors.index.json"]) {
    expect(readFileSync(join(second, "tune", file)).equals(readFileSync(join(first, "tune", file)))).toBe(true);
  }
});

test("a family that is there is left as it is, one of another noise is written anew", () => {
  const before = statSync(join(first, "base", "config.json")).mtimeMs;
  expect(writeFamily(first, FAMILY)).toBe(false);
  expect(statSync(join(first, "base", "config.json")).mtimeMs).toBe(before);
  const other = join(root, "other");
  expect(writeFamily(other, FAMILY)).toBe(true);
  expect(writeFamily(other, { ...FAMILY, models: FAMILY.models.slice(0, 1) })).toBe(true);
});

test("a fine-tune is as far from its base as its noise says, and stored in bfloat16", () => {
  const name = "model.layers.1.mlp.gate_proj.weight";
  const [base, tune] = ["base", "tune"].map((model) => {
    const place = tensorPlaces(join(first, model)).get(name);
    if (place === undefined) throw new Error(`${model} has no ${name}`);
    return readTensor(place);
  }) as [Float32Array, Float32Array];
  const squares = base.reduce((sum, value, i) => sum + ((tune[i] as number) - value) ** 2, 0);
  expect(Math.sqrt(squares / base.length)).toBeCloseTo(3e-4, 4);
  expect(new Uint32Array(tune.buffer).every((bits) => (bits & 0xffff) === 0)).toBe(true);
});

test("the demo's check finds a model that was not merged", () => {
  const model = { folder: join(first, "tune"), weight: 1, density: 0.5 };
  const result = checkTies({ base: join(first, "base"), models: [model], lambda: 1, merged: join(first, "base") });
  expect(result.wrong).toBeGreaterThan(result.elements / 10);
});

test("a sparse model has its full size and takes no space", () => {
  const folder = join(root, "sparse");
  writeSparseModel(folder, { ...SHAPE, layers: 200 }, 1e9);
  const { size, blocks } = statSync(join(folder, "model.safetensors"));
  expect(size).toBeGreaterThan(10e6);
  expect(blocks * 512).toBeLessThan(size / 10);
});
