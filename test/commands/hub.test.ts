import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { someTensors } from "../lora/peft.ts";
import { brokenOff, type FakeHub, startFakeHub } from "../model/hub/fake-hub.ts";
import { tinyModel } from "../plan/models.ts";
import { PATIENCE } from "../support/patience.ts";
import { writeSafetensors } from "../support/safetensors.ts";
import { linear, writeTinyModels } from "./tiny-models.ts";

const ROOT = resolve(import.meta.dir, "../..");
const ADDON_BUILT = existsSync(join(ROOT, "build", "Release", "sinter.node"));
let folder = "";
let hub: FakeHub;

beforeAll(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-hub-"));
  writeTinyModels(folder);
  writeFileSync(join(folder, "hub.yml"), linear("org/b"));
  hub = startFakeHub();
  hub.repositories.set("org/b", { commit: "b".repeat(40), refs: ["main"], files: filesOf(join(folder, "b")) });
});

afterAll(() => {
  hub.stop();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  hub.seen.length = 0;
  hub.trouble = undefined;
  rmSync(join(folder, "home"), { recursive: true, force: true });
});

function filesOf(dir: string): Record<string, Uint8Array> {
  return Object.fromEntries(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name))]));
}

async function start(line: string, env: Record<string, string> = {}) {
  const child = spawn(line, env);
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, out, err };
}

function spawn(line: string, env: Record<string, string> = {}) {
  const [script = "", ...args] = line.split(" ");
  const { HF_HUB_OFFLINE, HF_TOKEN, HF_HUB_CACHE, ...inherited } = process.env;
  return Bun.spawn([join(ROOT, "bin", script), ...args], {
    cwd: folder,
    env: {
      ...inherited,
      SINTER_BUN: process.execPath,
      HF_ENDPOINT: hub.endpoint,
      HF_HOME: join(folder, "home"),
      ...env,
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

describe("sinter plan", () => {
  test("says what merge would download, and leaves the cache as it is", async () => {
    const { code, err } = await start("sinter plan hub.yml");
    expect(code).toBe(1);
    expect(err).toMatch(
      /^error: hub\.yml:4:13: the model is not in the Hugging Face cache: 3 files, \d\S* kB to download/,
    );
    expect(err).toContain("--download");
    expect(existsSync(join(folder, "home"))).toBe(false);
  });

  test("with --download fetches the model and plans with it; then nobody is asked", async () => {
    const first = await start("sinter plan hub.yml --download");
    expect(first.code).toBe(0);
    expect(first.err).toMatch(/^downloading org\/b: 3 files, \d\S* kB\n/);
    const asked = hub.seen.length;
    expect(asked).toBeGreaterThan(0);
    const second = await start("sinter plan hub.yml");
    expect({ code: second.code, out: second.out, err: second.err }).toEqual({ code: 0, out: first.out, err: "" });
    expect(hub.seen.length).toBe(asked);
  });

  test("an adapter that is named after a model is fetched as the model is", async () => {
    const q = "model.layers.0.self_attn.q_proj";
    const [rows = 0, columns = 0] = tinyModel("b").tensors.get(`${q}.weight`)?.shape ?? [];
    const shapes = {
      [`base_model.model.${q}.lora_A.weight`]: [2, columns],
      [`base_model.model.${q}.lora_B.weight`]: [rows, 2],
    };
    writeSafetensors(join(folder, "adapter.safetensors"), someTensors(shapes, 1));
    const files = {
      "adapter_config.json": Buffer.from(JSON.stringify({ peft_type: "LORA", r: 2, target_modules: ["q_proj"] })),
      "adapter_model.safetensors": readFileSync(join(folder, "adapter.safetensors")),
    };
    hub.repositories.set("org/lora", { commit: "c".repeat(40), refs: ["main"], files });
    writeFileSync(join(folder, "lora.yml"), linear("org/b+org/lora"));
    const { code, err } = await start("sinter plan lora.yml --download");
    expect(err).not.toContain("error:");
    expect(err).toMatch(/downloading org\/lora: 2 files/);
    expect(code).toBe(0);
  });

  test("asks nobody when HF_HUB_OFFLINE is set, and says so", async () => {
    const { code, err } = await start("sinter plan hub.yml --download", { HF_HUB_OFFLINE: "1" });
    expect(code).toBe(1);
    expect(err).toContain("HF_HUB_OFFLINE is set");
    expect(hub.seen).toEqual([]);
  });
});

test.skipIf(!ADDON_BUILT)("merge gets through what passes: 429 with a wait, 503, a body that breaks off", async () => {
  let asked = 0;
  hub.trouble = async (seen, honest) => {
    asked++;
    if (asked === 1) return new Response("slow down", { status: 429, headers: { "retry-after": "1" } });
    if (asked === 3) return new Response(null, { status: 503 });
    const isFirstOfStore = seen.server === "store" && hub.seen.filter(({ server }) => server === "store").length === 1;
    return isFirstOfStore ? await brokenOff(honest(), 100) : undefined;
  };
  const { code, err } = await start("sinter merge hub.yml through");
  expect([code, err]).toEqual([0, expect.stringContaining("answered 429: next try in")]);
  const local = await start("sinter merge linear.yml local --force");
  expect(local.code).toBe(0);
  const weights = (out: string) => readFileSync(join(folder, out, "model.safetensors"));
  expect(weights("through").equals(weights("local"))).toBe(true);
});

test.skipIf(!ADDON_BUILT)("bench downloads the models that it is given", async () => {
  const { code, out, err } = await start("sinter bench --models hf://org/b a --methods linear");
  expect([code, err]).toEqual([0, expect.stringContaining("downloading hf://org/b: 3 files")]);
  expect(out).toContain("linear");
});

describe("before anything is downloaded", () => {
  test("a folder of nearly the same name is proposed, too", async () => {
    mkdirSync(join(folder, "models", "llama-a"), { recursive: true });
    writeFileSync(join(folder, "slip.yml"), linear("models/lama-a"));
    const { code, err } = await start("sinter merge slip.yml slipped");
    expect(code).toBe(1);
    expect(err).toContain(
      'slip.yml:4:13: "models/lama-a" is no folder here, and the Hub shows no model "models/lama-a"',
    );
    expect(err).toContain('did you mean "llama-a"?');
  });

  test("mistakes of the configuration and an output folder that is not free are reported", async () => {
    writeFileSync(join(folder, "wrong.yml"), linear("org/b").replace("linear", "linaer"));
    const { code, err } = await start("sinter merge wrong.yml ./a");
    expect(code).toBe(1);
    expect(err).toContain("did you mean linear?");
    expect(err).toContain("already holds");
    expect(hub.seen).toEqual([]);
  });
});

test(
  "SIGINT stops a download at once, and the next run goes on from there",
  async () => {
    const sent = 200;
    hub.trouble = async ({ server }, honest) => {
      if (server === "hub") return undefined;
      const bytes = new Uint8Array(await honest().arrayBuffer());
      const start = (controller: ReadableStreamDefaultController) => controller.enqueue(bytes.slice(0, sent));
      return new Response(new ReadableStream({ start }));
    };
    const child = spawn("sinter plan hub.yml --download");
    const blobs = join(folder, "home", "hub", "models--org--b", "blobs");
    const begun = () =>
      existsSync(blobs) ? readdirSync(blobs).find((name) => name.endsWith(".incomplete")) : undefined;
    while (statSync(join(blobs, begun() ?? ""), { throwIfNoEntry: false })?.size !== sent) await Bun.sleep(5);
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
    expect(await new Response(child.stderr).text()).toContain("what was downloaded is kept");
    expect(statSync(join(blobs, begun() ?? "")).size).toBe(sent);

    hub.trouble = undefined;
    hub.seen.length = 0;
    expect((await start("sinter plan hub.yml --download")).err).toContain("(200 B are there)");
    expect(hub.seen.find(({ server }) => server === "store")?.range).toStartWith(`bytes=${sent}-`);
    expect(begun()).toBeUndefined();
  },
  PATIENCE,
);

describe.skipIf(!ADDON_BUILT)("with the addon", () => {
  test.each(["sinter merge hub.yml merged", "mergekit-yaml hub.yml merged-too"])(
    "%s downloads and merges",
    async (line) => {
      const { code, err } = await start(line);
      expect({ code, err: err.replace(/\d\S* kB/, "N kB") }).toEqual({
        code: 0,
        err: "downloading org/b: 3 files, N kB\n",
      });
      const local = await start("sinter merge linear.yml local --force");
      expect(local.code).toBe(0);
      const made = join(folder, line.split(" ").at(-1) as string, "model.safetensors");
      expect(readFileSync(made).equals(readFileSync(join(folder, "local", "model.safetensors")))).toBe(true);
    },
  );

  test("--transformers-cache is where models are downloaded to, and --quiet says nothing of it", async () => {
    const { code, err, out } = await start("sinter merge hub.yml quiet -q --transformers-cache ./elsewhere");
    expect({ code, err, out }).toEqual({ code: 0, err: "", out: "" });
    expect(readdirSync(join(folder, "elsewhere")).sort()).toEqual([".locks", "models--org--b"]);
    expect(existsSync(join(folder, "home"))).toBe(false);
  });
});

describe("sinter inspect", () => {
  test("understands a model of the Hub from its headers, and downloads neither weights nor anything into the cache", async () => {
    const weights = new Uint8Array(readFileSync(join(folder, "b", "model.safetensors")));
    // With 20 MB of which a download would tell.
    const header = JSON.parse(new TextDecoder().decode(weights.subarray(8, 8 + headerLength(weights))));
    const end = Math.max(
      ...Object.values<{ data_offsets?: number[] }>(header).map((one) => one.data_offsets?.[1] ?? 0),
    );
    const text = JSON.stringify({
      ...header,
      padding: { dtype: "U8", shape: [20e6], data_offsets: [end, end + 20e6] },
    });
    const large = new Uint8Array(8 + text.length + end + 20e6);
    large.set(new Uint8Array(new BigUint64Array([BigInt(text.length)]).buffer));
    large.set(new TextEncoder().encode(text), 8);
    const vocab = { a: 0, b: 1, "[UNK]": 2 };
    const tokenizer = { model: { type: "WordLevel", vocab, unk_token: "[UNK]" }, added_tokens: [] };
    const files = {
      ...filesOf(join(folder, "b")),
      "tokenizer.json": new TextEncoder().encode(JSON.stringify(tokenizer)),
      "model.safetensors": large,
    };
    hub.repositories.set("org/large", { commit: "c".repeat(40), refs: ["main"], files });
    const { code, out, err } = await start("sinter inspect org/large --json");
    expect([code, err]).toEqual([0, expect.stringContaining("not downloaded: read from the headers on the Hub")]);
    const value = JSON.parse(out);
    expect(value).toMatchObject({ name: "org/large", family: "llama", missing: [], unknown: ["padding"] });
    expect(value.tokenizer).toMatchObject({ from: "tokenizer.json", kind: "WordLevel", tokens: 3 });
    expect(value.folder).toBe(`${hub.endpoint}/org/large/tree/${"c".repeat(40)}`);
    expect(value.files).toEqual([{ name: "model.safetensors", bytes: large.length, tensors: 22 }]);
    const asked = hub.seen.filter(({ path, server }) => server === "store" || path.endsWith(".safetensors"));
    expect(asked.every(({ range }) => range !== undefined)).toBe(true);
    expect(existsSync(join(folder, "home", "hub"))).toBe(false);
    // A vocabulary that would take long is left there, and nothing is said of it.
    const endless = { ...files, "tokenizer.json": new Uint8Array(33e6) };
    hub.repositories.set("org/endless", { commit: "f".repeat(40), refs: ["main"], files: endless });
    hub.seen.length = 0;
    const { tokenizer: none, oddities } = JSON.parse((await start("sinter inspect org/endless --json")).out);
    expect([none, oddities.join().includes("tokenizer")]).toEqual([null, false]);
    expect(hub.seen.filter(({ path }) => path.endsWith("tokenizer.json"))).toEqual([]);
    hub.repositories.delete("org/endless");
    hub.repositories.delete("org/large");
  });

  test("a server without ranges is not read to the end, and PyTorch's files are refused by name", async () => {
    hub.trouble = (seen) => {
      if (seen.server !== "store") return undefined;
      return new Response(new Uint8Array(readFileSync(join(folder, "b", "model.safetensors"))));
    };
    expect(await start("sinter inspect org/b")).toMatchObject({ code: 0, out: expect.stringContaining("llama") });
    hub.trouble = undefined;
    const { "model.safetensors": _, ...rest } = filesOf(join(folder, "b"));
    const files = { ...rest, "pytorch_model.bin": new Uint8Array(100) };
    hub.repositories.set("org/torch", { commit: "d".repeat(40), refs: ["main"], files });
    const { code, err } = await start("sinter inspect org/torch");
    expect([code, err]).toEqual([
      1,
      expect.stringContaining("has its weights in PyTorch's format (pytorch_model.bin)"),
    ]);
    hub.repositories.delete("org/torch");
  });

  test("what is wrong with a header is told with the model's page, not with a folder that is gone", async () => {
    const files = { ...filesOf(join(folder, "b")), "model.safetensors": new Uint8Array(5000).fill(65) };
    hub.repositories.set("org/broken", { commit: "e".repeat(40), refs: ["main"], files });
    const { code, err } = await start("sinter inspect org/broken");
    expect(code).toBe(1);
    expect(err).toContain("not a safetensors file");
    expect(err).toContain(`${hub.endpoint}/org/broken/tree/`);
    expect(err).not.toContain("sinter-inspect-");
    hub.repositories.delete("org/broken");
  });
});

function headerLength(bytes: Uint8Array): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
}
