import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { refusal } from "./fake-hub.ts";
import { COMMIT, content, makeWorkbench, type Workbench } from "./workbench.ts";

const MODEL = { "config.json": "{}", "tokenizer.json": "{}", "model.safetensors": content(500) };
const SHARDS = { "model-00001-of-00002.safetensors": content(40), "model-00002-of-00002.safetensors": content(50) };
const TOKEN = { HF_TOKEN: "hf_secret" };

let bench: Workbench;
beforeAll(() => {
  bench = makeWorkbench();
});
afterEach(() => bench.reset());
afterAll(() => bench.close());

/** No file of the model was written, and the user's token is in no message. */
async function refused(names: string[], env: Record<string, string> = {}) {
  const { codes, text } = await bench.fetch(names, { env });
  expect(existsSync(bench.path())).toBe(false);
  expect(text).not.toContain("secret");
  return { codes, text };
}

function indexOf(...files: string[]): string {
  return JSON.stringify({ weight_map: Object.fromEntries(files.map((file, i) => [`t${i}`, file])) });
}

describe("a repository that is not given out", () => {
  test("does not exist, or is private: a token may help", async () => {
    const { codes, text } = await refused(["org/tiny"]);
    expect(codes).toEqual(["model-not-found"]);
    expect(text).toContain("HF_TOKEN");
  });

  test("does not exist for this user", async () => {
    bench.hub.trouble = () => refusal(404, "RepoNotFound", "Repository not found");
    const { codes, text } = await refused(["org/tiny"], TOKEN);
    expect(codes).toEqual(["model-not-found"]);
    expect(text).toContain("the token must be of a user who may see it");
  });

  test("has nearly the name of one in the cache", async () => {
    mkdirSync(join(bench.cacheDir, "models--org--tinny"), { recursive: true });
    expect((await refused(["org/tiny"])).text).toContain('did you mean "org/tinny"?');
  });

  test("is gated: without a token, both steps are told", async () => {
    bench.offer(MODEL, { gatedFor: ["hf_friend"] });
    const { codes, text } = await refused(["org/tiny"]);
    expect(codes).toEqual(["gated-model"]);
    expect(text).toContain(`ask for access at ${bench.hub.endpoint}/org/tiny; then set HF_TOKEN`);
  });

  test("is gated: with the token of a user who has no access", async () => {
    bench.offer(MODEL, { gatedFor: ["hf_friend"] });
    const { codes, text } = await refused(["org/tiny"], TOKEN);
    expect(codes).toEqual(["gated-model"]);
    expect(text).toContain("has no access");
  });

  test("is not for this token", async () => {
    bench.offer(MODEL);
    bench.hub.trouble = ({ path }) =>
      path.includes("resolve") ? refusal(403, undefined, "Your token lacks a permission") : undefined;
    const { codes, text } = await refused(["org/tiny"], TOKEN);
    expect(codes).toEqual(["hub-forbidden"]);
    expect(text).toContain('("Your token lacks a permission")');
  });

  test("because the token is wrong", async () => {
    bench.hub.trouble = () => refusal(401, undefined, "Invalid credentials in Authorization header");
    const { codes, text } = await refused(["org/tiny"], TOKEN);
    expect(codes).toEqual(["hub-token"]);
    expect(text).toContain("hf auth login");
  });

  test("every one of several is reported", async () => {
    bench.offer(MODEL, { gatedFor: [] });
    const { codes } = await refused(["org/tiny", "org/nowhere", "org/tiny@v9"]);
    expect(codes.sort()).toEqual(["gated-model", "model-not-found", "revision-not-found"]);
  });
});

test("a gated repository is given to a user who has access", async () => {
  bench.offer(MODEL, { gatedFor: ["hf_secret"] });
  expect((await bench.fetch(["org/tiny"], { env: TOKEN })).codes).toEqual([]);
});

test("a revision that does not exist comes with the nearest that does", async () => {
  bench.offer(MODEL, { refs: ["main", "v1.0-final"] });
  const { codes, text } = await refused(["org/tiny@v1.0-fnal"]);
  expect(codes).toEqual(["revision-not-found"]);
  expect(text).toContain('did you mean "v1.0-final"?');
});

test("a configuration with a wrong checksum is asked for once more", async () => {
  bench.offer(MODEL);
  let times = 0;
  const changed = (most: number) => {
    times = 0;
    bench.hub.trouble = ({ path }) =>
      path.endsWith("/config.json") && ++times <= most ? new Response('{"x": 1}') : undefined;
  };
  changed(2);
  expect((await refused(["org/tiny"])).codes).toEqual(["hub-checksum"]);
  expect(times).toBe(2);
  changed(1);
  expect((await bench.fetch(["org/tiny"])).codes).toEqual([]);
});

describe("the token", () => {
  test("goes to the Hub, and not to the store that the Hub redirects to", async () => {
    bench.offer(MODEL);
    await bench.fetch(["org/tiny"], { env: TOKEN });
    const sent = (server: string) =>
      new Set(bench.hub.seen.filter((seen) => seen.server === server).map((seen) => seen.authorization));
    expect(sent("hub")).toEqual(new Set(["Bearer hf_secret"]));
    expect(sent("store")).toEqual(new Set([undefined]));
  });

  test("is not sent where it is not wanted", async () => {
    bench.offer(MODEL);
    await bench.fetch(["org/tiny"], { env: { ...TOKEN, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" } });
    expect(bench.hub.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
  });
});

describe("a server that does harm", () => {
  const entry = (change: object) => [
    { type: "file", path: "model.safetensors", size: 5, oid: "a".repeat(40), ...change },
  ];

  test.each([
    "../../evil.safetensors",
    "/etc/evil.bin",
    "a/../../evil.json",
    "..",
    "C:evil.json",
    "a\\evil.json",
    "e\u001B[2J",
  ])("by the file name %j is found out", async (path) => {
    bench.offer(MODEL, { listing: entry({ path }) });
    const { codes, text } = await refused(["org/tiny"]);
    expect(codes).toEqual(["hub-unsafe-name"]);
    expect(text).not.toContain("\u001B");
  });

  test.each([
    ["a checksum that is a path", { oid: "../../../evil" }],
    ["a checksum that is none", { oid: null }],
    ["the checksum of a large file that is a path", { lfs: { oid: "../../evil", size: 5 } }],
    ["a negative size", { size: -1 }],
    ["a size that is none", { size: "5" }],
  ])("by %s is found out", async (_, change) => {
    bench.offer(MODEL, { listing: entry(change) });
    expect((await refused(["org/tiny"])).codes).toEqual(["hub-answer"]);
  });

  test.each(["../../../evil", "main", ""])("by the commit %j is found out", async (sha) => {
    bench.hub.trouble = () => Response.json({ _id: "1", id: "org/tiny", sha });
    expect((await refused(["org/tiny"])).codes).toEqual(["hub-answer"]);
  });

  test("by a redirect to something else than a web address is found out", async () => {
    bench.hub.trouble = () => new Response(null, { status: 302, headers: { location: "file:///etc/passwd" } });
    const { codes } = await refused(["org/tiny"]);
    expect(codes).toEqual(["hub-redirect"]);
  });

  test("by redirects without an end is found out", async () => {
    bench.hub.trouble = ({ path }) => new Response(null, { status: 307, headers: { location: path } });
    expect((await refused(["org/tiny"])).codes).toEqual(["hub-redirect"]);
  });

  test.each([
    ["a web page", "<html>Please sign in to this network</html>"],
    ["JSON of another form", "[1, 2]"],
  ])("or is no Hub, but %s, is found out", async (_, answer) => {
    bench.hub.trouble = () => new Response(answer);
    const { codes, text } = await refused(["org/tiny"]);
    expect(codes).toEqual(["hub-answer"]);
    expect(text).toContain("HF_ENDPOINT");
  });

  test("steers no terminal with its words", async () => {
    bench.hub.trouble = () => refusal(403, undefined, "no\u009B2J way");
    expect((await refused(["org/tiny"])).text).toContain('("no 2J way")');
  });
});

describe("a server that is busy or away", () => {
  test("for long is not waited for", async () => {
    bench.hub.trouble = () => new Response("", { status: 429, headers: { "retry-after": "3600" } });
    const { codes, text } = await refused(["org/tiny"]);
    expect(codes).toEqual(["hub-busy"]);
    expect(text).toContain("60 minutes");
  });

  test("says so in the Hub's own header, too", async () => {
    bench.hub.trouble = () => new Response("", { status: 429, headers: { ratelimit: '"resolvers";r=0;t=600' } });
    expect((await refused(["org/tiny"])).text).toContain("10 minutes");
  });

  test("cannot be reached: told once for all models, after fewer tries", async () => {
    const HF_ENDPOINT = "http://127.0.0.1:1";
    const { codes, text } = await refused(["org/tiny", "org/two"], { HF_ENDPOINT });
    expect(codes).toEqual(["hub-unreachable"]);
    expect(text).toContain(`cannot reach ${HF_ENDPOINT}: the connection was refused`);
  });
});

describe("what is chosen", () => {
  test("the files that an index names, found over several pages of a listing", async () => {
    const extra = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`note-${i}.md`, "x"]));
    const index = indexOf(...Object.keys(SHARDS));
    bench.offer({
      ...extra,
      "config.json": "{}",
      "model.safetensors.index.json": index,
      "merges.txt": "",
      ...SHARDS,
      "other.safetensors": content(60),
    });
    expect((await bench.fetch(["org/tiny"])).codes).toEqual([]);
    const files = readdirSync(bench.path("snapshots", COMMIT)).sort();
    expect(files).toEqual(["config.json", ...Object.keys(SHARDS), "model.safetensors.index.json", "merges.txt"].sort());
  });

  test("no index that names files outside of the repository", async () => {
    const index = indexOf("../../../evil.safetensors");
    bench.offer({ ...MODEL, "model.safetensors.index.json": index });
    expect((await bench.fetch(["org/tiny"])).codes).toEqual([]);
    expect(readdirSync(bench.path("snapshots", COMMIT)).sort()).toEqual(Object.keys(MODEL).sort());
  });

  test.each([
    ["quantised-model", { ...MODEL, "config.json": '{"quantization_config": {"quant_method": "gptq", "bits": 4}}' }],
    ["gguf-model", { "config.json": "{}", "model.Q4_K_M.gguf": "x" }],
    ["no-weights", { "config.json": "{}", "tf_model.h5": "x" }],
  ])("nothing where it would be of no use: %s", async (code, files) => {
    bench.offer(files);
    expect((await refused(["org/tiny"])).codes).toEqual([code]);
  });
});
