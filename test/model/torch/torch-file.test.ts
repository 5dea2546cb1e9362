import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Report } from "../../../src/errors.ts";
import { DTYPE_BYTES } from "../../../src/model/dtype.ts";
import { readTorchFile, type TorchFile } from "../../../src/model/torch/torch-file.ts";
import { elementCount, type TensorView } from "../../../src/model/types.ts";
import expected from "./expected.json" with { type: "json" };

/** Written by PyTorch 2.13: generate.py says how. */
const FILES = join(import.meta.dir, "files");

function read(name: string): { file: TorchFile | undefined; report: Report } {
  const report = new Report();
  return { file: readTorchFile(join(FILES, name), report), report };
}

/** Tensors with their bytes, as their views say. */
function contents(name: string) {
  const { file } = read(name);
  const whole = readFileSync(join(FILES, name));
  const described = [...(file?.tensors ?? [])].map(([tensor, view]) => {
    const { dtype, shape } = view;
    return [tensor, { dtype, shape, hex: hexOf(view, whole) }];
  });
  return Object.fromEntries(described);
}

function hexOf({ dtype, shape, offset, strides }: TensorView, whole: Buffer): string {
  const bytes = DTYPE_BYTES[dtype];
  if (strides === undefined) return whole.toString("hex", offset, offset + elementCount(shape) * bytes);
  const [size = 1, ...inner] = shape;
  const [stride = 0, ...steps] = strides;
  const rest = strides.length > 1 ? { shape: inner, strides: steps } : { shape: [], strides: undefined };
  const entry = (i: number) => hexOf({ file: "", dtype, offset: offset + i * stride * bytes, ...rest }, whole);
  return Array.from({ length: size }, (_, i) => entry(i)).join("");
}

describe("a file that PyTorch wrote", () => {
  test.each(Object.entries(expected))("gives every tensor its bytes, dtype and shape: %s", (name, tensors) => {
    expect(contents(name)).toEqual(tensors);
  });

  test.each(Object.keys(expected))("gives tensors in the order of their offsets, inside the file: %s", (name) => {
    const { file } = read(name);
    const views = [...(file?.tensors.values() ?? [])];
    expect(views.map(({ offset }) => offset)).toEqual(views.map(({ offset }) => offset).sort((a, b) => a - b));
    expect(file?.size).toBe(statSync(join(FILES, name)).size);
    expect(views.every((view) => view.file === join(FILES, name))).toBe(true);
  });

  test.each(["module.bin", "module-legacy.pt"])("that shares a storage gives both names the same bytes: %s", (name) => {
    const tensors = read(name).file?.tensors;
    expect(tensors?.get("head.weight")).toEqual(tensors?.get("embed.weight") as never);
    expect(tensors?.get("head.weight")).toBeDefined();
  });

  test("of a training program gives the model, and counts what is left out", () => {
    const { file, report } = read("training.ckpt");
    expect([...(file?.tensors.keys() ?? [])]).toContain("embed.weight");
    expect(report.warnings.map(({ code, message }) => [code, message])).toEqual([
      ["torch-left-out", 'the model is what lies under "state_dict": 1 tensors beside it are left out'],
    ]);
  });
});

describe("a file that PyTorch wrote is refused", () => {
  test("where weights are quantised", () => {
    const { report } = read("float8.bin");
    expect(report.errors.map(({ code, tensor }) => [code, tensor])).toEqual([["quantised-weights", "b"]]);
    expect(report.errors[0]?.message).toContain("torch.float8_e4m3fn");
  });

  test("where numbers are complex", () => {
    expect(read("complex.bin").report.errors.map(({ code }) => code)).toEqual(["unsupported-dtype"]);
  });

  test("where tensors are of kinds that hold no plain elements, each kind once", () => {
    const { report } = read("kinds.bin");
    expect(report.errors.map(({ code, tensor }) => [code, tensor])).toEqual([
      ["torch-tensor-kind", "quantised"],
      ["torch-tensor-kind", "sparse"],
      ["torch-tensor-kind", "meta"],
    ]);
  });

  test("where it holds a module: its class is named, and nothing of it is run", () => {
    const { report } = read("object.pt");
    expect(report.errors.map(({ code }) => code)).toEqual(["pickle-global"]);
    expect(report.errors[0]?.message).toContain("torch.nn.modules.linear.Linear");
  });

  test("where it holds one tensor without a name", () => {
    expect(read("tensor.pt").report.errors.map(({ code }) => code)).toEqual(["torch-no-state-dict"]);
  });

  test("always with the file's path", () => {
    const failing = readdirSync(FILES).filter((name) => !(name in expected));
    expect(failing.length).toBeGreaterThan(3);
    for (const name of failing) {
      for (const problem of read(name).report.errors) expect(problem.path).toBe(join(FILES, name));
    }
  });
});

describe("what is no file of PyTorch", () => {
  test.each([
    ["a folder", FILES, "unreadable-file"],
    ["nothing", join(FILES, "absent.bin"), "unreadable-file"],
    ["another file", join(import.meta.dir, "generate.py"), "torch-not-a-checkpoint"],
  ])("is refused: %s", (_, path, code) => {
    const report = new Report();
    expect(readTorchFile(path, report)).toBeUndefined();
    expect(report.errors.map((problem) => problem.code)).toEqual([code]);
  });
});
