import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Report } from "../../src/errors.ts";
import { openRawModel } from "../../src/model/raw.ts";
import { safetensorsFile, temporaryFolder, writeFolder } from "./written.ts";

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

const TORCH = join(import.meta.dir, "torch", "files");
const weights = safetensorsFile({ a: [2], b: [3] });
const checkpoint = readFileSync(join(TORCH, "nested.pt"));
let made = 0;

function folder(files: Readonly<Record<string, string | Uint8Array | object>>): string {
  return writeFolder(join(root, `raw-${made++}`), files);
}

function open(path: string) {
  const report = new Report();
  const at = { file: "merge.yml", line: 3, column: 5 };
  const model = openRawModel({ ref: { model: { path } }, at }, { cacheDir: join(root, "cache") }, report);
  return { model, report, names: [...(model?.tensors.keys() ?? [])], codes: report.errors.map(({ code }) => code) };
}

describe("a single file of tensors", () => {
  test.each(["adapter.safetensors", "embeddings.bin", "model.pt", "model.pth", "v1-5.ckpt", "no-ending"])(
    "is opened without any config: %s",
    (name) => {
      const isSafetensors = name.endsWith(".safetensors");
      const dir = folder({ [name]: isSafetensors ? weights : checkpoint, "other.bin": "", "config.json": "{" });
      const { model, names, codes } = open(join(dir, name));
      expect(codes).toEqual([]);
      expect(names).toEqual(isSafetensors ? ["a", "b"] : ["unet.in", "unet.out.1", "unet.out.0"]);
      expect(model).toMatchObject({ dir, config: {}, architecture: undefined, sideFiles: [] });
      expect(model?.weightFiles.map(({ path }) => path)).toEqual([join(dir, name)]);
    },
  );

  test("is read by its first bytes, whatever its name says", () => {
    const dir = folder({ "model.bin": weights, "model.safetensors": checkpoint });
    expect(open(join(dir, "model.bin")).names).toEqual(["a", "b"]);
    expect(open(join(dir, "model.safetensors")).names).toContain("unet.in");
  });

  test.each([
    ["in GGUF", "model.bin", Buffer.from("GGUF\x03\0\0\0"), "gguf-model"],
    [
      "that a Git LFS pointer stands for",
      "model.bin",
      "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
      "lfs-pointer",
    ],
    [
      "that a Git LFS pointer stands for",
      "model.safetensors",
      "version https://git-lfs.github.com/spec/v1\n",
      "lfs-pointer",
    ],
    ["of text", "model.pt", "hello, world", "torch-not-a-checkpoint"],
    ["that is empty", "model.pt", "", "torch-not-a-checkpoint"],
    ["that is empty", "model.safetensors", "", "safetensors-too-short"],
  ])("%s is refused: %s", (_, name, content, code) => {
    const path = join(folder({ [name]: content }), name);
    const { codes, report } = open(path);
    expect(codes).toEqual([code]);
    expect(report.errors[0]).toMatchObject({ model: path, at: { line: 3 } });
  });

  test("of quantised weights is refused", () => {
    copyFileSync(join(TORCH, "float8.bin"), join(root, "float8.bin"));
    expect(open(join(root, "float8.bin")).codes).toEqual(["quantised-weights"]);
  });
});

describe("a folder of tensors", () => {
  test("is opened without any config, its files in the order of their names", () => {
    const dir = folder({ "2.safetensors": safetensorsFile({ c: [1] }), "1.safetensors": weights, "readme.md": "" });
    const { model, names } = open(dir);
    expect(names).toEqual(["a", "b", "c"]);
    expect(model).toMatchObject({ config: {}, sideFiles: ["readme.md"] });
  });

  test("gives its config.json where it has one", () => {
    const { model } = open(
      folder({ "config.json": { _class_name: "UNet2DConditionModel" }, "x.safetensors": weights }),
    );
    expect(model?.config).toEqual({ _class_name: "UNet2DConditionModel" });
    expect(model?.architecture).toBeUndefined();
  });

  test("goes by its index, whatever that is called", () => {
    const index = { weight_map: { a: "one.safetensors", b: "one.safetensors" } };
    const dir = folder({ "diffusion.safetensors.index.json": index, "one.safetensors": weights, "x.safetensors": "" });
    expect(open(dir).names).toEqual(["a", "b"]);
    expect(open(join(dir, "diffusion.safetensors.index.json")).names).toEqual(["a", "b"]);
  });

  test("takes PyTorch files where there are no safetensors, and not what training left beside them", () => {
    const dir = folder({
      "model.pt": checkpoint,
      "optimizer.pt": "x",
      "training_args.bin": "x",
      "rng_state_0.pth": "x",
    });
    expect(open(dir).names).toContain("unet.in");
    writeFolder(dir, { "x.safetensors": weights });
    expect(open(dir).names).toEqual(["a", "b"]);
  });

  test("with the same tensors in two files is refused once, with the files' names", () => {
    const { report } = open(folder({ "x.safetensors": weights, "x.fp16.safetensors": weights }));
    expect(report.errors.map(({ code, message }) => [code, message])).toEqual([
      [
        "tensor-in-two-files",
        "two files have the same tensor: x.fp16.safetensors and x.safetensors (and 1 more tensors)",
      ],
    ]);
  });

  test("without tensors is refused, with the folders in it that have some", () => {
    const dir = folder({
      "model_index.json": {},
      "unet/a.safetensors": weights,
      "vae/a.bin": "",
      "scheduler/x.json": {},
    });
    const { codes, report } = open(dir);
    expect(codes).toEqual(["no-weights"]);
    expect(report.errors[0]?.hint).toEndWith("unet, vae");
  });

  test.each([
    ["in GGUF only", { "model-Q4.gguf": "GGUF" }, "gguf-model"],
    [
      "with a config.json that says it is quantised",
      { "config.json": { quantization_config: {} }, "x.safetensors": weights },
      "quantised-model",
    ],
    ["with a config.json that is none", { "config.json": "{", "x.safetensors": weights }, "invalid-json"],
  ])("%s is refused", (_, files, code) => {
    expect(open(folder(files as Record<string, string>)).codes).toEqual([code]);
  });

  test("that is not there is refused", () => {
    expect(open(join(root, "absent", "x")).codes).toEqual(["model-not-found"]);
  });
});
