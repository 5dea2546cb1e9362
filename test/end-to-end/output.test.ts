import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readOutput } from "../conformance/output.ts";
import { readZip } from "../plan/read-zip.ts";
import { readSafetensors } from "../support/safetensors.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";
import { expectAllMerged, type Recipe } from "./values.ts";

const work = new Workplace();
afterAll(() => work.remove());
const a = writeTinyModel(work.path("a"), { seed: 1 });
const b = writeTinyModel(work.path("b"), { seed: 2, base: a });
const config = work.config(`# A comment, to be kept.
merge_method: linear
models:
  - {model: ./a, parameters: {weight: 0.5}}
  - {model: ./b, parameters: {weight: 0.5}}
`);
const half: Recipe = { kernel: "linear", params: () => [0.5, 0.5], dtype: "BF16" };

async function mergeInto(out: string, ...options: string[]): Promise<string> {
  const { exitCode, stderr } = await work.merge(config, out, ...options);
  expect([exitCode, stderr]).toEqual([0, expect.not.stringContaining("error:")]);
  return work.path(out);
}

describe("safetensors", () => {
  test("has the data at a multiple of 64, tensors without gaps, wider dtypes first", async () => {
    writeTinyModel(work.path("wide"), { seed: 3, dtype: "F32" });
    const folder = await mergeInto("plain");
    const { metadata, tensors, dataStart } = readSafetensors(join(folder, "model.safetensors"));
    expect(metadata).toEqual({ format: "pt" });
    expect(dataStart % 64).toBe(0);
    const header = readFileSync(join(folder, "model.safetensors")).subarray(8, dataStart).toString();
    const offsets = Object.entries(JSON.parse(header) as Record<string, { data_offsets: [number, number] }>)
      .filter(([name]) => name !== "__metadata__")
      .map(([, entry]) => entry.data_offsets)
      .sort(([x], [y]) => x - y);
    let end = 0;
    for (const [from, to] of offsets) {
      expect(from).toBe(end);
      end = to;
    }
    expect(dataStart + end).toBe(readFileSync(join(folder, "model.safetensors")).length);
    expectAllMerged(tensors, half, [a, b]);
  });

  test("comes in shards of the size asked for, with an index of all of them", async () => {
    const folder = await mergeInto("sharded", "--out-shard-size", "2000");
    const { tensors } = readOutput(folder);
    expectAllMerged(tensors, half, [a, b]);
    const shards = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));
    expect(shards.length).toBeGreaterThan(3);
    for (const [i, name] of shards.sort().entries()) {
      const number = (n: number) => String(n).padStart(5, "0");
      expect(name).toBe(`model-${number(i + 1)}-of-${number(shards.length)}.safetensors`);
      const held = [...readSafetensors(join(folder, name)).tensors.values()];
      const bytes = held.reduce((sum, tensor) => sum + tensor.bytes.length, 0);
      expect(bytes <= 2000 || held.length === 1).toBe(true);
    }
  });
});

describe("pytorch_model.bin", () => {
  test("is a zip file whose members' bytes are aligned and have their CRC-32", async () => {
    const folder = await mergeInto("pickled", "--no-safe-serialization");
    expect(readdirSync(folder)).not.toContain("model.safetensors");
    expectAllMerged(readOutput(folder).tensors, half, [a, b]);
    const members = readZip(readFileSync(join(folder, "pytorch_model.bin")));
    for (const { name, dataOffset } of members)
      if (name.includes("/data/")) expect([name, dataOffset % 64]).toEqual([name, 0]);
    const text = (end: string) => Buffer.from(members.find(({ name }) => name.endsWith(end))?.bytes ?? []).toString();
    expect(text("/version").trim()).toBe("3");
    expect(text("/byteorder")).toBe("little");
  });

  test("comes in shards, too", async () => {
    const folder = await mergeInto("pickled-shards", "--no-safe-serialization", "--out-shard-size", "3K");
    expectAllMerged(readOutput(folder).tensors, half, [a, b]);
    expect(readdirSync(folder)).toContain("pytorch_model.bin.index.json");
    expect(
      readdirSync(folder).filter((name) => /^pytorch_model-\d{5}-of-\d{5}\.bin$/.test(name)).length,
    ).toBeGreaterThan(2);
  });
});

describe("the other files", () => {
  test("are the model's own, the configuration as written and a card", async () => {
    const folder = await mergeInto("complete");
    for (const name of ["tokenizer.json", "tokenizer_config.json", "generation_config.json"]) {
      expect(readFileSync(join(folder, name))).toEqual(readFileSync(work.path("a", name)));
    }
    expect(readFileSync(join(folder, "mergekit_config.yml"), "utf8")).toBe(readFileSync(work.path(config), "utf8"));
    const card = readFileSync(join(folder, "README.md"), "utf8");
    const [, frontMatter] = card.split(/^---$/m);
    const hub = Bun.YAML.parse(frontMatter as string) as Record<string, unknown>;
    expect(hub).toMatchObject({ library_name: "transformers", tags: expect.arrayContaining(["merge"]) });
    expect(card).toContain("# complete");
    expect(card).toContain("A comment, to be kept.");
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("config.json keeps what a merge does not change", async () => {
    const ours = JSON.parse(readFileSync(join(await mergeInto("config"), "config.json"), "utf8"));
    expect(ours).toEqual(JSON.parse(readFileSync(work.path("a", "config.json"), "utf8")));
  });

  test("stay away where they are not wanted", async () => {
    const folder = await mergeInto("bare", "--no-copy-tokenizer", "--no-write-model-card");
    expect(readdirSync(folder).filter((name) => /tokenizer|README|yml/.test(name))).toEqual([]);
  });
});

describe("a folder that holds a model", () => {
  test("is left alone without --force, and replaced with it: no older shard stays", async () => {
    const folder = await mergeInto("again", "--out-shard-size", "2000");
    const before = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]);
    const refused = await work.merge(config, "again");
    expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringMatching(/error:.*--force/s)]);
    expect(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))])).toEqual(before);

    writeFileSync(join(folder, "notes.txt"), "mine");
    await mergeInto("again", "--force");
    expect(readdirSync(folder).filter((name) => name.includes("safetensors"))).toEqual(["model.safetensors"]);
    expect(readFileSync(join(folder, "notes.txt"), "utf8")).toBe("mine");
    expectAllMerged(readOutput(folder).tensors, half, [a, b]);
  });

  test("is replaced by mergekit-yaml without asking, as mergekit does", async () => {
    await mergeInto("replaced");
    expect((await work.run("mergekit-yaml", [config, "replaced"])).exitCode).toBe(0);
  });
});

test("sinter plan writes nothing and knows what merge will write", async () => {
  const { exitCode, stdout } = await work.run("sinter", ["plan", config, "planned", "--json"]);
  expect(exitCode).toBe(0);
  expect(work.list("planned")).toBeUndefined();
  const folder = await mergeInto("planned");
  const plan = JSON.parse(stdout) as { shards: { file: string; size: number }[] };
  for (const { file, size } of plan.shards) expect(readFileSync(join(folder, file))).toHaveLength(size);
});

test("sinter merge --json says what it did", async () => {
  const { exitCode, stdout } = await work.merge(config, "json", "--json", "--quiet");
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    method: "linear",
    tensors: a.size,
    files: ["model.safetensors"],
    warnings: [],
  });
});
