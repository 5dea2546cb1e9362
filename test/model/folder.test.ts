import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, relative } from "node:path";
import { formatProblem, Report } from "../../src/errors.ts";
import { openModel } from "../../src/model/folder.ts";
import { parseModelRef } from "../../src/model/ref.ts";
import type { Model } from "../../src/model/types.ts";
import { headerBytes, safetensorsFile, temporaryFolder, writeFolder } from "./written.ts";

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

const config = { architectures: ["LlamaForCausalLM"], model_type: "llama" };
const weights = safetensorsFile({ a: [2], b: [3] });
/** Of the 2 x 1 32-bit words of a quantised weight. */
const gptqWeights = Buffer.concat([
  headerBytes('{"q_proj.qweight":{"dtype":"I32","shape":[2,1],"data_offsets":[0,8]}}'),
  new Uint8Array(8),
]);
let made = 0;

function folder(files: Readonly<Record<string, string | Uint8Array | object>>): string {
  return writeFolder(join(root, `model-${made++}`), files);
}

function open(path: string, cacheDir?: string): { model: Model | undefined; report: Report } {
  const ref = parseModelRef(path);
  if (typeof ref === "string") throw new Error(ref);
  const report = new Report();
  const at = { file: "merge.yml", line: 3, column: 5 };
  return { model: openModel({ ref, at }, { cacheDir }, report), report };
}

function errorsOf(path: string, cacheDir?: string) {
  const { model, report } = open(path, cacheDir);
  expect(model).toBeUndefined();
  return report.errors.map(({ code }) => code);
}

describe("a model folder", () => {
  test("is understood from its config.json and headers", () => {
    const dir = folder({ "config.json": config, "model.safetensors": weights, "tokenizer.json": {}, "sub/x": "" });
    const { model, report } = open(dir);
    expect(report).toEqual(new Report());
    expect(model?.name).toBe(dir);
    expect(model?.dir).toBe(dir);
    expect(model?.config).toEqual(config);
    expect(model?.architecture).toBe("LlamaForCausalLM");
    expect([...(model?.tensors.keys() ?? [])]).toEqual(["a", "b"]);
    expect(model?.weightFiles).toEqual([{ path: join(dir, "model.safetensors"), size: weights.length }]);
    expect(model?.sideFiles).toEqual(["config.json", "tokenizer.json"]);
  });

  test("is found relative to the working directory, and keeps the name the user wrote", () => {
    const path = relative(process.cwd(), folder({ "config.json": config, "model.safetensors": weights }));
    expect(open(path).model?.name).toBe(path);
  });

  test("is found from the user's home", () => {
    const path = relative(homedir(), folder({ "config.json": config, "model.safetensors": weights }));
    expect(open(`~/${path}`).model?.architecture).toBe("LlamaForCausalLM");
  });

  test("may be read-only and hold links to its files", () => {
    const blobs = folder({ one: JSON.stringify(config), two: weights });
    const dir = folder({});
    symlinkSync(join(blobs, "one"), join(dir, "config.json"));
    symlinkSync(join(blobs, "two"), join(dir, "model.safetensors"));
    symlinkSync(join(blobs, "gone"), join(dir, "tokenizer.json"));
    chmodSync(dir, 0o555);
    const { model } = open(dir);
    chmodSync(dir, 0o755);
    expect(model?.weightFiles).toEqual([{ path: join(dir, "model.safetensors"), size: weights.length }]);
    expect(model?.sideFiles).toEqual(["config.json"]);
  });

  test("takes the architecture that the reference names over its own", () => {
    const path = folder({ "config.json": config, "model.safetensors": weights });
    const ref = { model: { path }, overrideArchitecture: "MistralForCausalLM" };
    expect(openModel({ ref }, { cacheDir: undefined }, new Report())?.architecture).toBe("MistralForCausalLM");
  });

  test("has no revisions: one that is named is a warning", () => {
    const { model, report } = open(`${folder({ "config.json": config, "model.safetensors": weights })}@v1`);
    expect(model).toBeDefined();
    expect(report.warnings.map(({ code }) => code)).toEqual(["revision-of-folder"]);
  });
});

describe("weights in several files", () => {
  const first = "model-00001-of-00002.safetensors";
  const second = "model-00002-of-00002.safetensors";
  const index = "model.safetensors.index.json";
  const shards = { [first]: safetensorsFile({ b: [1], a: [2] }), [second]: safetensorsFile({ c: [3] }) };

  test("are found by the index, in the order of the files and of the offsets in them", () => {
    const dir = folder({
      "config.json": config,
      ...shards,
      [index]: { weight_map: { c: second, a: first, b: first } },
      "model.safetensors": weights,
    });
    const { model, report } = open(dir);
    expect(report).toEqual(new Report());
    expect([...(model?.tensors ?? [])].map(([name, { file }]) => [name, file])).toEqual([
      ["b", join(dir, first)],
      ["a", join(dir, first)],
      ["c", join(dir, second)],
    ]);
    expect(model?.sideFiles).toContain("model.safetensors");
  });

  test("are all taken where there is neither an index nor model.safetensors", () => {
    const dir = folder({ "config.json": config, ...shards });
    expect([...(open(dir).model?.tensors.keys() ?? [])]).toEqual(["b", "a", "c"]);
  });

  test("may not have one tensor twice without an index that says which counts", () => {
    const twice = { "config.json": config, [first]: weights, [second]: safetensorsFile({ b: [3], c: [1] }) };
    expect(errorsOf(folder(twice))).toEqual(["tensor-in-two-files"]);
    const dir = folder({ ...twice, [index]: { weight_map: { a: first, b: second, c: second } } });
    expect(open(dir).model?.tensors.get("b")?.file).toBe(join(dir, second));
  });

  test("that the index names and that are absent are listed together", () => {
    const dir = folder({ "config.json": config, [index]: { weight_map: { a: first, b: second } } });
    const { report } = open(dir);
    expect(report.errors.map(({ code }) => code)).toEqual(["missing-shard"]);
    expect(report.errors[0]?.message).toContain(`2 of the 2 files`);
    expect(report.errors[0]?.message).toContain(`${first}, ${second}`);
  });

  test("that lack tensors the index places in them are named with the tensors", () => {
    const dir = folder({
      "config.json": config,
      ...shards,
      [index]: { weight_map: { a: first, c: first, x: second } },
    });
    const { report } = open(dir);
    expect(report.errors.map(({ code, path }) => [code, path])).toEqual([
      ["shard-lacks-tensor", join(dir, first)],
      ["shard-lacks-tensor", join(dir, second)],
    ]);
  });

  test("may have tensors that the index forgot: they count, with a warning", () => {
    const dir = folder({ "config.json": config, ...shards, [index]: { weight_map: { a: first, c: second } } });
    const { model, report } = open(dir);
    expect(model?.tensors.has("b")).toBe(true);
    expect(report.warnings.map(({ code }) => code)).toEqual(["tensor-not-in-index"]);
  });

  test.each(["../x.safetensors", "/etc/passwd", "a/../../x", "..", "", "a\u0000b", 7, null])(
    "may not lie outside the folder: %j",
    (shard) => {
      expect(errorsOf(folder({ "config.json": config, [index]: { weight_map: { a: shard } } }))).toEqual([
        "index-shard-path",
      ]);
    },
  );

  test.each([
    ["{", "invalid-json"],
    ["[]", "invalid-json"],
    ["{}", "index-form"],
    ['{"weight_map": []}', "index-form"],
  ])("with an index that reads %s are refused", (text, code) => {
    expect(errorsOf(folder({ "config.json": config, [index]: text }))).toEqual([code]);
  });
});

describe("weights in PyTorch files", () => {
  const state = readFileSync(join(import.meta.dir, "torch", "files", "module.bin"));
  const views = readFileSync(join(import.meta.dir, "torch", "files", "views.bin"));

  test("are read where there are no safetensors", () => {
    const dir = folder({ "config.json": config, "pytorch_model.bin": state, "training_args.bin": "x" });
    const { model, report } = open(dir);
    expect(report).toEqual(new Report());
    expect(model?.tensors.get("head.weight")).toMatchObject({ dtype: "F32", shape: [4, 2] });
    expect(model?.weightFiles).toEqual([{ path: join(dir, "pytorch_model.bin"), size: state.length }]);
    expect(model?.sideFiles).toEqual(["config.json", "training_args.bin"]);
  });

  test("do not count where there are safetensors", () => {
    const dir = folder({ "config.json": config, "pytorch_model.bin": "x", "model.safetensors": weights });
    expect([...(open(dir).model?.tensors.keys() ?? [])]).toEqual(["a", "b"]);
  });

  test("are found by their index", () => {
    const shards = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"] as const;
    const index = { weight_map: { "embed.weight": shards[0], "norm.weight": shards[0], whole: shards[1] } };
    const dir = folder({
      "config.json": config,
      [shards[0]]: state,
      [shards[1]]: views,
      "pytorch_model.bin.index.json": index,
    });
    const { model } = open(dir);
    expect(model?.tensors.get("whole")?.file).toBe(join(dir, shards[1]));
    expect(model?.tensors.get("embed.weight")?.file).toBe(join(dir, shards[0]));
    rmSync(join(dir, shards[1]));
    const { report } = open(dir);
    expect(report.errors.map(({ code }) => code)).toEqual(["missing-shard"]);
    expect(report.errors[0]?.message).toContain("pytorch_model.bin.index.json");
  });

  test("are all taken where there is neither an index nor pytorch_model.bin", () => {
    const dir = folder({ "config.json": config, "pytorch_model-1.bin": state, "pytorch_model-2.bin": views });
    expect([...(open(dir).model?.tensors.keys() ?? [])]).toEqual(expect.arrayContaining(["embed.weight", "whole"]));
  });
});

test("a second copy in the layout of the model's authors does not count", () => {
  const dir = folder({ "config.json": config, "a.safetensors": weights, "consolidated.safetensors": "x" });
  expect([...(open(dir).model?.tensors.keys() ?? [])]).toEqual(["a", "b"]);
});

describe("what is no model", () => {
  test.each([
    ["without config.json", { "model.safetensors": weights }, ["no-config"]],
    ["with a config.json that is not JSON", { "config.json": "{", "model.safetensors": weights }, ["invalid-json"]],
    ["with a config.json that is a list", { "config.json": "[]", "model.safetensors": weights }, ["invalid-json"]],
    ["without weights", { "config.json": config }, ["no-weights"]],
    ["that is empty", {}, ["no-weights", "no-config"]],
    ["with a damaged PyTorch file", { "config.json": config, "pytorch_model.bin": "" }, ["torch-not-a-checkpoint"]],
    [
      "with weights that their names show to be quantised",
      { "config.json": config, "model.safetensors": gptqWeights },
      ["quantised-weights"],
    ],
    ["with GGUF files only", { "model-Q4.gguf": "" }, ["gguf-model"]],
    [
      "that is an adapter",
      { "adapter_config.json": {}, "adapter_model.safetensors": weights },
      ["adapter-is-no-model"],
    ],
    [
      "that is quantised",
      { "config.json": { ...config, quantization_config: { quant_method: "gptq" } }, "model.safetensors": weights },
      ["quantised-model"],
    ],
  ])("a folder %s", (_, files, codes) => {
    expect(errorsOf(folder(files as Record<string, string>))).toEqual(codes);
  });

  test("a file", () => {
    const dir = folder({ "model.safetensors": weights, "model.gguf": "" });
    expect(errorsOf(join(dir, "model.safetensors"))).toEqual(["model-not-a-folder"]);
    expect(errorsOf(join(dir, "model.gguf"))).toEqual(["gguf-model"]);
  });

  test("a path that is not there, with the name of one that is", () => {
    mkdirSync(join(root, "llama-7b"));
    const { report } = open(join(root, "lama-7b"));
    expect(report.errors.map(({ code }) => code)).toEqual(["model-not-found"]);
    expect(report.errors[0]?.hint).toBe('did you mean "llama-7b"?');
  });

  test("a path that could be a model of the Hub, but is a slip", () => {
    const workingDirectory = process.cwd();
    process.chdir(folder({ "models/llama-a/config.json": config }));
    try {
      expect(open("models/lama-a").report.errors[0]?.hint).toStartWith('did you mean "llama-a"? fetch the model first');
    } finally {
      process.chdir(workingDirectory);
    }
  });

  test("a damaged weight file: the error names position, model and file", () => {
    const dir = folder({ "config.json": config });
    writeFileSync(join(dir, "model.safetensors"), weights.subarray(0, weights.length - 5));
    const { report } = open(dir);
    expect(formatProblem(report.errors[0] as never)).toStartWith(
      "merge.yml:3:5: the file is truncated: 5 of the 20 bytes of tensor data are missing " +
        `(model ${dir}, file ${join(dir, "model.safetensors")})`,
    );
  });
});

describe("a model of the Hub", () => {
  const environment = { ...process.env };
  afterEach(() => {
    for (const name of ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"]) {
      if (environment[name] === undefined) delete process.env[name];
      else process.env[name] = environment[name];
    }
  });

  const files = { "config.json": config, "model.safetensors": weights };
  const main = "1".repeat(40);
  const other = "2".repeat(40);
  const cache = join(root, "home", "hub");
  const repository = join(cache, "models--sinter-test--tiny");
  writeFolder(join(repository, "snapshots", main), files);
  writeFolder(join(repository, "snapshots", other), files);
  writeFolder(join(repository, "refs"), { main, v2: `${other}\n`, "pr/1": other });

  test.each([
    ["sinter-test/tiny", main],
    ["hf://sinter-test/tiny", main],
    ["sinter-test/tiny@v2", other],
    ["sinter-test/tiny@pr/1", other],
    [`sinter-test/tiny@${other}`, other],
  ])("is found in the cache: %s", (name, commit) => {
    const { model, report } = open(name, cache);
    expect(report).toEqual(new Report());
    expect(model?.dir).toBe(join(repository, "snapshots", commit));
    expect(model?.name).toBe(name);
  });

  test("is looked for where the environment says, in the order of Hugging Face's own programs", () => {
    process.env.XDG_CACHE_HOME = join(root, "nowhere");
    process.env.HF_HOME = join(root, "home");
    delete process.env.HF_HUB_CACHE;
    expect(open("sinter-test/tiny").model).toBeDefined();
    process.env.HF_HUB_CACHE = join(root, "nowhere");
    expect(open("sinter-test/tiny").model).toBeUndefined();
    expect(open("sinter-test/tiny", cache).model).toBeDefined();
  });

  test("that is not in the cache: the error says where it looked and how to fetch it", () => {
    const { report } = open("sinter-test/huge@v3", cache);
    expect(report.errors.map(({ code }) => code)).toEqual(["model-not-found"]);
    expect(report.errors[0]?.message).toContain(join(process.cwd(), "sinter-test/huge"));
    expect(report.errors[0]?.message).toContain(join(cache, "models--sinter-test--huge"));
    expect(report.errors[0]?.hint).toContain("fetch the model first");
    expect(report.errors[0]?.hint).toContain(`hf download sinter-test/huge --revision v3 --cache-dir ${cache}`);
  });

  test("that is in the cache in other revisions only: the error names them", () => {
    const { report } = open("sinter-test/tiny@v3", cache);
    expect(report.errors.map(({ code }) => code)).toEqual(["revision-not-found"]);
    expect(report.errors[0]?.message).toContain("main, pr/1, v2");
  });

  test.each(["..", "../../snapshots", "/", "a//b", "pr"])(
    "cannot be led out of the cache by a revision: %s",
    (revision) => {
      const ref = { model: { path: "sinter-test/tiny", revision } };
      expect(openModel({ ref }, { cacheDir: cache }, new Report())).toBeUndefined();
    },
  );

  test.each(["../tiny", "a/b/c", "a--b/c", ".hidden/x", "hf://a/../b"])("is not meant by %s", (name) => {
    const { report } = open(name, cache);
    expect(report.errors[0]?.message).toStartWith("there is no folder");
  });
});
