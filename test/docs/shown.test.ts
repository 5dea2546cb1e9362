import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/paths.ts";
import { PATIENCE } from "../support/patience.ts";
import { SHAPE, workplace, writeModels } from "./fixture.ts";
import { blocks } from "./pages.ts";
import { shapeOf } from "./shape.ts";

const ADDON_BUILT = existsSync(join(ROOT, "build", "Release", "sinter.node"));
const root = mkdtempSync(join(realpathSync(tmpdir()), "sinter-shown-"));

beforeAll(() => writeModels(join(root, "models")), PATIENCE);
afterAll(() => rmSync(root, { recursive: true, force: true }), PATIENCE);

/** The block of a page that begins so. */
function shown(page: string, start: string, language = ""): string {
  const block = blocks(page, language).find((text) => text.trimStart().startsWith(start));
  if (block === undefined) throw new Error(`${page} shows nothing that begins with ${start}`);
  return block;
}

function sinter(folder: string, line: string) {
  const env = { PATH: `${join(ROOT, "bin")}:${process.env.PATH}`, HOME: folder, SINTER_BUN: process.execPath };
  const command = ["bash", "-c", `sinter ${line}`];
  const { stdout, stderr } = Bun.spawnSync(command, { cwd: folder, env, stdin: "ignore" });
  return { out: stdout.toString(), err: stderr.toString() };
}

const place = (name: string) => workplace(join(root, name), join(root, "models"));

/** Writes a model of Llama 3 8B's shape whose weights are holes: 16 GB that take no room. */
function writeLlama(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const [hidden, intermediate, layers, kv, vocab] = [4096, 14336, 32, 1024, 128256];
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    max_position_embeddings: 131072,
    vocab_size: vocab,
    tie_word_embeddings: false,
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const shapes: Record<string, number[]> = { "model.embed_tokens.weight": [vocab, hidden] };
  for (let i = 0; i < layers; i++) {
    const at = `model.layers.${i}`;
    for (const name of ["q", "o"]) shapes[`${at}.self_attn.${name}_proj.weight`] = [hidden, hidden];
    for (const name of ["k", "v"]) shapes[`${at}.self_attn.${name}_proj.weight`] = [kv, hidden];
    for (const name of ["gate", "up"]) shapes[`${at}.mlp.${name}_proj.weight`] = [intermediate, hidden];
    shapes[`${at}.mlp.down_proj.weight`] = [hidden, intermediate];
    for (const name of ["input", "post_attention"]) shapes[`${at}.${name}_layernorm.weight`] = [hidden];
  }
  shapes["model.norm.weight"] = [hidden];
  shapes["lm_head.weight"] = [vocab, hidden];
  let offset = 0;
  const entries = Object.entries(shapes).map(([name, shape]) => {
    const begin = offset;
    offset += 2 * shape.reduce((product, size) => product * size, 1);
    return [name, { dtype: "BF16", shape, data_offsets: [begin, offset] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = openSync(join(folder, "model.safetensors"), "w");
  writeSync(file, Buffer.concat([length, header]));
  ftruncateSync(file, 8 + header.length + offset);
  closeSync(file);
}

test("docs/architectures.md: what sinter inspect says of Llama 3 8B", () => {
  const [line = "", ...text] = shown("docs/architectures.md", "$ sinter inspect").trimEnd().split("\n");
  const folder = join(root, "inspect");
  writeLlama(join(folder, "model"));
  const printed = sinter(folder, line.replace("$ sinter ", ""))
    .out.trimEnd()
    .replace(root, "")
    .replace("(/inspect/", "(/data/")
    .split("\n");
  const gap = text.indexOf("...");
  expect(printed.slice(0, gap)).toEqual(text.slice(0, gap));
  expect(printed.slice(gap + 1 - text.length)).toEqual(text.slice(gap + 1));
});

test("README.md: what sinter plan says of a tied head", () => {
  const line = shown("README.md", "tied ").trimEnd();
  expect(sinter(place("tied"), "plan examples/ties.yml").out.split("\n")).toContain(line);
});

describe.skipIf(!ADDON_BUILT)("of merges", () => {
  test("docs/manifest.md: every key, in its order", () => {
    const folder = place("manifest");
    sinter(folder, "merge examples/dare-ties.yml ./merged -q");
    const manifest = JSON.parse(readFileSync(join(folder, "merged", "sinter_manifest.json"), "utf8"));
    const text = shown("docs/manifest.md", "{", "json");
    const keys = [...text.matchAll(/^ {2}"(\w+)":/gm)].map(([, key]) => key);
    expect(Object.keys(manifest)).toEqual(keys as string[]);
    expect(text).toContain(`"checksum": ${JSON.stringify(manifest.checksum)}`);
    for (const key of Object.keys(manifest.recipe)) expect(text).toContain(`"${key}":`);
    const tensor = /"model\.embed_tokens\.weight": (\{.*\}),/.exec(text)?.[1] ?? "{}";
    expect(Object.keys(JSON.parse(tensor))).toEqual(Object.keys(manifest.tensors["model.embed_tokens.weight"]));
  });

  test(
    "docs/bench.md: its command prints such a table",
    () => {
      const folder = place("bench");
      const command = shown("docs/bench.md", "sinter bench").trim().replace("sinter ", "");
      const printed = sinter(folder, command).out.split("\n").map(shapeOf);
      const text = shown("docs/bench.md", "SECONDS").split("\n").map(shapeOf);
      // A value is a number, or a share; the names of methods and models are what they are.
      const columns = (row: string) => row.replaceAll("# %", "#");
      const rows = printed.map(columns);
      for (const row of text.filter((one) => one !== "" && one !== "…")) expect(rows).toContain(columns(row));
    },
    PATIENCE,
  );

  test(
    "docs/forward.md: perplexity, and that of a merge and its parents",
    () => {
      const folder = place("forward");
      const measured = sinter(
        folder,
        "merge examples/ties.yml ./merged -q; sinter eval perplexity ./merged --text sample.txt -q",
      );
      expect(shapeOf(measured.out)).toBe(shapeOf(shown("docs/forward.md", "./merged: perplexity")));
      const checked = sinter(folder, "merge examples/ties.yml ./checked --check");
      const lines = (text: string) =>
        shapeOf(text)
          .split("\n")
          .map((row) => row.trim().replaceAll(/\.\/\S*\//g, "./"));
      const text = lines(shown("docs/forward.md", "perplexity on a short text").replace("./merged", "./checked"));
      const printed = lines(`${checked.out}\n${checked.err}`);
      for (const row of text) expect(printed).toContain(row);
    },
    PATIENCE,
  );

  test("docs/forward.md: its program reads hidden states", () => {
    const folder = place("forward-program");
    symlinkSync(join(ROOT, "src"), join(folder, "src"));
    writeFileSync(join(folder, "states.ts"), shown("docs/forward.md", "import", "ts"));
    const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, "states.ts"], { cwd: folder });
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
    expect(stdout.toString()).toBe(
      `${SHAPE.layers} layers of ${SHAPE.hidden}: ${SHAPE.layers * SHAPE.hidden} numbers\n`,
    );
  });
});
