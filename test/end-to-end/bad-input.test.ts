import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import type { StoredTensor } from "../support/safetensors.ts";
import { tinyConfig, tinyTensors, writeTinyModel, writeWeights } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";

const work = new Workplace();
afterAll(() => work.remove());
writeTinyModel(work.path("a"), { seed: 1 });
writeTinyModel(work.path("b"), { seed: 2 });

/** A copy of `a` with something wrong in it. @returns its name. */
function spoiled(name: string, spoil: (folder: string) => void): string {
  cpSync(work.path("a"), work.path(name), { recursive: true });
  spoil(work.path(name));
  return name;
}

function withTensors(name: string, change: (tensors: Map<string, StoredTensor>) => void): string {
  return spoiled(name, (folder) => {
    const tensors = tinyTensors({ seed: 1 });
    change(tensors);
    writeWeights(folder, tensors);
  });
}

const linear = (...names: string[]) =>
  `merge_method: linear\nmodels:\n${names.map((name) => `  - {model: ./${name}, parameters: {weight: 1}}`).join("\n")}\n`;

let outputs = 0;

/** Expects a merge to be refused: exit code 1, a message with every part, no trace of an internal error, nothing written. */
async function expectRefused(text: string, parts: readonly (string | RegExp)[], ...options: string[]): Promise<string> {
  const config = work.config(text);
  const out = `refused-${++outputs}`;
  const { exitCode, stderr } = await work.merge(config, out, ...options);
  expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/^error: /m)]);
  for (const part of parts) expect(stderr).toMatch(part);
  expect(stderr).not.toMatch(/fault in Sinter|\n\s+at .*:\d+:\d+/);
  expect(work.list(out)).toBeUndefined();
  return stderr.replaceAll(config, "CONFIG");
}

describe("a configuration", () => {
  test("with an unknown method: the nearest name", async () => {
    const stderr = await expectRefused(linear("a", "b").replace("linear", "liner"), [
      /"liner"/,
      /did you mean linear\?/,
    ]);
    expect(stderr).toContain("CONFIG:1:15:");
  });

  test("that lacks required parameters: each is named", async () => {
    const text = "merge_method: linear\nmodels:\n  - model: ./a\n  - model: ./b\n";
    const stderr = await expectRefused(text, [/weight/, /\.\/a/, /\.\/b/]);
    expect(stderr).toContain("CONFIG:3:");
    expect(stderr).toContain("CONFIG:4:");
    await expectRefused("merge_method: slerp\nbase_model: ./a\nmodels:\n  - model: ./a\n  - model: ./b\n", [/\bt\b/]);
  });

  test("with both models and slices", async () => {
    const text = `${linear("a", "b")}slices:\n  - sources: [{model: ./a, layer_range: [0, 2]}]\n`;
    expect(await expectRefused(text, [/models/, /slices/])).toMatch(/CONFIG:\d+:\d+/);
  });

  test("with neither", async () => {
    await expectRefused("merge_method: linear\n", [/models/, /slices/]);
  });

  test("with slices of unequal length", async () => {
    const text =
      "merge_method: linear\nparameters: {weight: 1}\nslices:\n  - sources:\n      - {model: ./a, layer_range: [0, 1]}\n      - {model: ./b, layer_range: [0, 2]}\n";
    expect(await expectRefused(text, [/layer/])).toMatch(/CONFIG:\d+:\d+/);
  });

  test.each(["[0, 3]", "[2, 1]", "[-1, 2]", "[0, 1.5]", "[0]"])(
    "with the layer range %s of a model of two layers",
    async (range) => {
      const text = `merge_method: passthrough\nslices:\n  - sources: [{model: ./a, layer_range: ${range}}]\n`;
      expect(await expectRefused(text, [/layer_?\s?range|layers/])).toMatch(/CONFIG:3:\d+/);
    },
  );

  test.each(["float8", "int8", "[1]"])("with the dtype %s", async (dtype) => {
    expect(await expectRefused(`${linear("a", "b")}dtype: ${dtype}\n`, [/dtype/])).toContain("CONFIG:5:8:");
  });

  test("that is no YAML", async () => {
    expect(await expectRefused("merge_method: linear\nmodels: [\n", [])).toMatch(/CONFIG:\d+:\d+/);
  });

  test("that is not there", async () => {
    const { exitCode, stderr } = await work.merge("missing.yml", "out-missing");
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining("missing.yml")]);
    expect(work.list("out-missing")).toBeUndefined();
  });

  test("with an unknown key or parameter: a warning with the nearest name, an error under --strict", async () => {
    const text = linear("a", "b").replace("weight: 1", "weight: 1, wieght: 2").concat("dtpye: float32\n");
    const { exitCode, stderr } = await work.merge(work.config(text), "lenient");
    expect(exitCode).toBe(0);
    for (const part of [/warning:.*wieght.*\n.*weight/, /warning:.*dtpye.*\n.*dtype/]) expect(stderr).toMatch(part);
    await expectRefused(text, [/error:.*dtpye/], "--strict");
    await expectRefused(text.replace("dtpye", "dtype"), [/error:.*wieght/], "--strict");
  });
});

describe("a model", () => {
  test("that is not there: all that are missing, each with its place", async () => {
    const stderr = await expectRefused(linear("nowhere", "a", "nothing"), [/\.\/nowhere/, /\.\/nothing/, /2 errors/]);
    expect(stderr).toContain("CONFIG:3:");
    expect(stderr).toContain("CONFIG:5:");
  });

  test("without weights", async () => {
    await expectRefused(
      linear(
        "a",
        spoiled("weightless", (folder) => rmSync(`${folder}/model.safetensors`)),
      ),
      [/weightless/, /weights/],
    );
  });

  test("without config.json", async () => {
    await expectRefused(
      linear(
        "a",
        spoiled("configless", (folder) => rmSync(`${folder}/config.json`)),
      ),
      [/configless/, /config\.json/],
    );
  });

  test("of another architecture, without --allow-crimes", async () => {
    const name = spoiled("mistral", (folder) => {
      const config = { ...tinyConfig(), architectures: ["MistralForCausalLM"], model_type: "mistral" };
      writeFileSync(`${folder}/config.json`, JSON.stringify(config));
    });
    await expectRefused(linear("a", name), [/Qwen2ForCausalLM/, /MistralForCausalLM/, /--allow-crimes/]);
  });

  test("of an architecture that nobody has heard of", async () => {
    const name = spoiled("unheard", (folder) => {
      writeFileSync(
        `${folder}/config.json`,
        JSON.stringify({ ...tinyConfig(), architectures: ["Blorp"], model_type: "blorp" }),
      );
    });
    await expectRefused(linear("a", name), [/unheard/, /Blorp/]);
  });

  test("that lacks tensors: all of them are named", async () => {
    const names = ["model.layers.0.mlp.up_proj.weight", "model.norm.weight"];
    const model = withTensors("lacking", (tensors) => {
      for (const name of names) tensors.delete(name);
    });
    await expectRefused(linear("a", model), [...names, /\.\/lacking/, /2 errors/]);
  });

  test("with a tensor of another shape: both shapes", async () => {
    const name = "model.layers.1.self_attn.o_proj.weight";
    const model = withTensors("misshapen", (tensors) => {
      const { dtype, bytes } = tensors.get(name) as StoredTensor;
      tensors.set(name, { dtype, bytes, shape: [8, 32] });
    });
    await expectRefused(linear("a", model), [name, /\[16, 16\]/, /\[8, 32\]/, /misshapen/]);
  });

  test("with a dtype that is not supported", async () => {
    const name = "model.norm.weight";
    const model = withTensors("exotic", (tensors) => {
      tensors.set(name, { dtype: "F8_E4M3" as "U8", shape: [16], bytes: new Uint8Array(16) });
    });
    await expectRefused(linear("a", model), [name, /F8_E4M3/, /exotic/]);
  });

  test("whose index names a shard that is absent", async () => {
    writeTinyModel(work.path("sharded"), { seed: 3 }, { shards: 3 });
    rmSync(work.path("sharded", "model-00002-of-00003.safetensors"));
    await expectRefused(linear("a", "sharded"), [/model-00002-of-00003\.safetensors/, /sharded/]);
  });
});

describe("a corrupt safetensors file", () => {
  const header = (json: string, data = 16) => {
    const bytes = Buffer.alloc(8 + json.length + data);
    bytes.writeBigUInt64LE(BigInt(json.length));
    bytes.write(json, 8);
    return bytes;
  };
  const entries = (...list: [string, number, number][]) =>
    header(
      `{${list.map(([name, from, to]) => `"${name}":{"dtype":"U8","shape":[${to - from}],"data_offsets":[${from},${to}]}`).join(",")}}`,
    );
  const longHeader = Buffer.alloc(100);
  longHeader.writeBigUInt64LE(2n ** 40n);
  const cases: [string, Buffer, RegExp][] = [
    ["is shorter than a header length", Buffer.from("abc"), /too short|short|8/],
    ["has a header that is longer than the file", longHeader, /header/],
    ["has a header that is no JSON", header("{not json"), /JSON/],
    ["has a header that is no object", header("[1, 2]"), /header/],
    ["has tensors that overlap", entries(["x", 0, 10], ["y", 8, 16]), /overlap/],
    ["has a hole between tensors", entries(["x", 0, 4], ["y", 8, 16]), /4 bytes .* belong to no tensor/],
    ["has bytes after the last tensor", entries(["x", 0, 8]), /trailing|after|end/],
    ["ends before its last tensor", entries(["x", 0, 1600]), /truncated|ends|beyond/],
    ["names a tensor twice", entries(["x", 0, 8], ["x", 8, 16]), /twice|duplicate/],
    [
      "has offsets beyond what a number holds",
      header('{"x":{"dtype":"U8","shape":[16],"data_offsets":[0,99999999999999999999]}}'),
      /x/,
    ],
    [
      "has a shape whose product overflows",
      header('{"x":{"dtype":"F64","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,16]}}'),
      /x/,
    ],
    ["has a negative size", header('{"x":{"dtype":"U8","shape":[-16],"data_offsets":[0,16]}}'), /x/],
    ["has an entry without a dtype", header('{"x":{"shape":[16],"data_offsets":[0,16]}}'), /x/],
  ];
  test.each(cases)("that %s", async (_, bytes, saying) => {
    rmSync(work.path("corrupt"), { recursive: true, force: true });
    const name = spoiled("corrupt", (folder) => writeFileSync(`${folder}/model.safetensors`, bytes));
    await expectRefused(linear("a", name), [saying, /corrupt/, /model\.safetensors/]);
  });

  test("that was cut off while it was downloaded", async () => {
    const name = spoiled("truncated", (folder) => {
      truncateSync(`${folder}/model.safetensors`, readFileSync(`${folder}/model.safetensors`).length - 100);
    });
    await expectRefused(linear("a", name), [/truncated/, /model\.safetensors/]);
  });
});

describe("an output folder", () => {
  const refuse = async (out: string, saying: RegExp) => {
    const before = [work.list("a"), work.list("."), readFileSync(work.path("a", "model.safetensors"))];
    const config = "linear.yml";
    writeFileSync(work.path(config), linear("a", "b"));
    const { exitCode, stderr } = await work.merge(config, out, "--force");
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(saying)]);
    const after = [
      work.list("a"),
      work.list(".")?.filter((name) => name !== config),
      readFileSync(work.path("a", "model.safetensors")),
    ];
    expect(after).toEqual([before[0], (before[1] as string[]).filter((name) => name !== config), before[2]]);
  };

  test("that is an input", async () => await refuse("a", /apart/));
  test("that is an input by another name", async () => {
    symlinkSync("a", work.path("alias"));
    await refuse("alias", /apart/);
  });
  test("that lies inside an input", async () => await refuse("a/merged", /apart/));
  test("that contains an input", async () => await refuse(".", /apart/));
  test("that is a file", async () => {
    writeFileSync(work.path("a-file"), "mine");
    await refuse("a-file", /a-file/);
    expect(readFileSync(work.path("a-file"), "utf8")).toBe("mine");
  });
});

test("a disk too small is found before anything is written", async () => {
  // A sparse model whose merge would take eight terabytes.
  const rows = 2 ** 38;
  const tensors = tinyTensors({ seed: 1 });
  tensors.delete("model.embed_tokens.weight");
  mkdirSync(work.path("enormous"));
  writeFileSync(work.path("enormous", "config.json"), JSON.stringify({ ...tinyConfig(), vocab_size: rows }));
  const names: Record<string, unknown> = {};
  let offset = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    names[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  const end = offset + rows * 32;
  names["model.embed_tokens.weight"] = { dtype: "BF16", shape: [rows, 16], data_offsets: [offset, end] };
  const json = JSON.stringify(names);
  const start = Buffer.alloc(8 + json.length);
  start.writeBigUInt64LE(BigInt(json.length));
  start.write(json, 8);
  writeFileSync(work.path("enormous", "model.safetensors"), start);
  truncateSync(work.path("enormous", "model.safetensors"), start.length + end);
  await expectRefused("merge_method: passthrough\nmodels: [{model: ./enormous}]\n", [/TB/, /disk|space/]);
});

test("an adapter that is not there is named with its model", async () => {
  await expectRefused(linear("a", "b").replace("./b", "./b+./adapter"), [
    /no folder ".\/adapter".*model .\/b\+.\/adapter/,
  ]);
});

describe("a GPU that is asked for and not there", () => {
  test.each(["--cuda", "--gpu-rich", "--multi-gpu", "--device cuda"])("mergekit-yaml %s", async (option) => {
    const args = [work.config(linear("a", "b")), "out-gpu", ...option.split(" ")];
    const { exitCode, stderr } = await work.run("mergekit-yaml", args);
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/no library for CUDA devices|no CUDA device|driver/)]);
    expect(work.list("out-gpu")).toBeUndefined();
  });
});

test("a command line that is wrong ends with exit code 2", async () => {
  const config = work.config(linear("a", "b"));
  for (const args of [
    [config],
    [config, "out-usage", "extra"],
    [config, "out-usage", "--no-such-option"],
    [config, "out-usage", "--random-seed", "x"],
  ]) {
    expect((await work.run("mergekit-yaml", args)).exitCode).toBe(2);
    expect((await work.run("sinter", ["merge", ...args])).exitCode).toBe(2);
  }
  expect(work.list("out-usage")).toBeUndefined();
});
