import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { findMissing } from "../../../src/model/missing.ts";
import { brokenOff, gitSha1, refusal, type Seen, sha256 } from "./fake-hub.ts";
import { COMMIT, content, makeWorkbench, type Workbench } from "./workbench.ts";

const WEIGHTS = content(9500);
const CONFIG = '{"model_type": "tiny"}';
const SMALL = { "config.json": CONFIG, "tokenizer.json": "{}" };
const MODEL = { ...SMALL, "model.safetensors": WEIGHTS };
const WEIGHTS_ETAG = sha256(WEIGHTS);

let bench: Workbench;
beforeAll(() => {
  bench = makeWorkbench();
});
afterEach(() => bench.reset());
afterAll(() => bench.close());

/** Requests for weights that reached the store. */
const stored = () => bench.hub.seen.filter(({ server }) => server === "store");
const isStore = (seen: Seen) => seen.server === "store";

/** Applies to the first `times` requests for weights. */
function atFirst(times: number, trouble: (honest: () => Response, seen: Seen) => Response | Promise<Response>) {
  let left = times;
  bench.hub.trouble = (seen, honest) => (isStore(seen) && left-- > 0 ? trouble(honest, seen) : undefined);
}

function isFetched(): boolean {
  return findMissing({ path: { path: "org/tiny" } }, bench.cacheDir) === undefined;
}

describe("what is in the cache afterwards", () => {
  test("blobs under their checksums, links to them in the commit's folder, the commit under the branch", async () => {
    bench.offer(MODEL);
    const { codes } = await bench.fetch(["org/tiny"]);
    expect(codes).toEqual([]);
    const etags = [gitSha1(Buffer.from(CONFIG)), gitSha1(Buffer.from("{}")), WEIGHTS_ETAG];
    expect(readdirSync(bench.path("blobs")).sort()).toEqual(etags.sort());
    expect(readlinkSync(bench.path("snapshots", COMMIT, "model.safetensors"))).toBe(`../../blobs/${WEIGHTS_ETAG}`);
    expect(readFileSync(bench.path("refs", "main"), "utf8")).toBe(COMMIT);
    expect(bench.stored("model.safetensors").equals(WEIGHTS)).toBe(true);
    expect(bench.stored("config.json").toString()).toBe(CONFIG);
    expect(isFetched()).toBe(true);
  });

  test("the folders that hold parts of the model, without what lies deeper", async () => {
    const inside = { "text/config.json": "{}", "text/model.safetensors": content(300), "text/notes.md": "x" };
    bench.offer({
      ...MODEL,
      ...inside,
      "text/old/model.safetensors": content(9),
      "other/model.safetensors": content(9),
    });
    const foldersOf = ({ model_type: type }: Record<string, unknown>) => (type === "tiny" ? ["text"] : []);
    expect((await bench.fetch(["org/tiny"], { foldersOf })).codes).toEqual([]);
    const files = readdirSync(bench.path("snapshots", COMMIT), { recursive: true, encoding: "utf8" }).sort();
    expect(files).toEqual([...Object.keys(MODEL), "text", "text/config.json", "text/model.safetensors"].sort());
    expect(bench.stored("text/model.safetensors").equals(content(300))).toBe(true);
  });

  test("a folder's part of the model that another program left out", async () => {
    bench.offer({ ...MODEL, "text/model.safetensors": content(300) });
    await bench.fetch(["org/tiny"]);
    expect(isFetched()).toBe(true);
    await bench.fetch(["org/tiny"], { foldersOf: () => ["text"] });
    expect(bench.stored("text/model.safetensors").length).toBe(300);
  });

  test("shards that the index places in a folder", async () => {
    const index = JSON.stringify({ weight_map: { a: "parts/1.safetensors", b: "parts/2.safetensors" } });
    const parts = {
      "parts/1.safetensors": content(30),
      "parts/2.safetensors": content(40),
      "parts/3.safetensors": "x",
    };
    bench.offer({ ...SMALL, ...parts, "model.safetensors.index.json": index });
    expect((await bench.fetch(["org/tiny"])).codes).toEqual([]);
    expect(readdirSync(bench.path("snapshots", COMMIT, "parts")).sort()).toEqual(["1.safetensors", "2.safetensors"]);
    expect(isFetched()).toBe(true);
  });

  test("nothing outside of it, whatever an index or a definition says", async () => {
    const index = JSON.stringify({ weight_map: { a: "../../x.safetensors", b: "/etc/y.safetensors" } });
    bench.offer({ ...MODEL, "model.safetensors.index.json": index });
    await bench.fetch(["org/tiny"], { foldersOf: () => ["..", "../other", "/etc", "a//b"] });
    const files = readdirSync(bench.path("snapshots", COMMIT), { recursive: true });
    expect(files.sort()).toEqual(Object.keys(MODEL).sort());
    expect(bench.hub.seen.some(({ path }) => path.includes("etc") || path.includes("other"))).toBe(false);
  });

  test("nothing that a merge does not need", async () => {
    bench.offer({
      ...MODEL,
      ".gitattributes": "x",
      "README.md": "x",
      "pytorch_model.bin": content(10),
      "consolidated.safetensors": content(20),
      "training_args.bin": content(30),
    });
    await bench.fetch(["org/tiny"]);
    const files = readdirSync(bench.path("snapshots", COMMIT)).sort();
    expect(files).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
  });

  test.each([
    ["org/tiny@v1.0", "v1.0"],
    ["hf://org/tiny@refs/pr/3", "refs/pr/3"],
  ])("%s stands under its own name", async (name, revision) => {
    bench.offer(MODEL, { refs: ["v1.0", "refs/pr/3"] });
    expect((await bench.fetch([name])).codes).toEqual([]);
    expect(readFileSync(bench.path("refs", revision), "utf8")).toBe(COMMIT);
  });

  test("a commit needs no name", async () => {
    bench.offer(MODEL);
    expect((await bench.fetch([`org/tiny@${COMMIT}`])).codes).toEqual([]);
    expect(existsSync(bench.path("refs"))).toBe(false);
    expect(findMissing({ path: { path: "org/tiny", revision: COMMIT } }, bench.cacheDir)).toBeUndefined();
  });

  test("a new revision with the same weights fetches only what is new", async () => {
    bench.offer(MODEL);
    await bench.fetch(["org/tiny"]);
    const before = stored().length;
    bench.offer({ ...MODEL, "config.json": "{}" }, { commit: "f".repeat(40), refs: ["main", "next"] });
    expect((await bench.fetch(["org/tiny@next"])).codes).toEqual([]);
    expect(stored().length).toBe(before);
    expect(isFetched()).toBe(true);
  });

  test("a model without a tokenizer is noted as such, and not asked for again", async () => {
    bench.offer({ "config.json": CONFIG, "model.safetensors": WEIGHTS });
    await bench.fetch(["org/tiny"]);
    expect(readdirSync(bench.path(".no_exist", COMMIT))).toEqual(["tokenizer_config.json"]);
    expect(isFetched()).toBe(true);
  });

  test("what another program fetched of a model is completed", async () => {
    bench.offer(MODEL);
    await bench.fetch(["org/tiny"]);
    const link = bench.path("snapshots", COMMIT, "model.safetensors");
    await Bun.file(link).delete();
    expect(isFetched()).toBe(false);
    expect((await bench.fetch(["org/tiny"])).codes).toEqual([]);
    expect(isFetched()).toBe(true);
  });
});

describe("a large file", () => {
  test("comes in ranges, several at a time, from a store that is looked up once", async () => {
    bench.offer(MODEL);
    let open = 0;
    let most = 0;
    bench.hub.trouble = async (seen, honest) => {
      if (!isStore(seen)) return undefined;
      most = Math.max(most, ++open);
      for (let tries = 0; most < 3 && tries < 400; tries++) await Bun.sleep(5);
      open--;
      return honest();
    };
    await bench.fetch(["org/tiny"]);
    expect(stored().length).toBe(10);
    expect(most).toBe(3);
    const lookups = bench.hub.seen.filter(({ path }) => path.endsWith("model.safetensors"));
    // Connections that start together cannot wait for each other's answer.
    expect(lookups.length).toBeLessThanOrEqual(3);
    expect(bench.stored("model.safetensors").equals(WEIGHTS)).toBe(true);
  });

  test("is told in bytes of all files together", async () => {
    bench.offer(MODEL);
    const { progress } = await bench.fetch(["org/tiny"]);
    const total = WEIGHTS.length + CONFIG.length + 2;
    expect(progress.at(-1)).toMatchObject({ bytes: total, totalBytes: total, earlierBytes: 0 });
    expect(progress.every(({ bytes }, i) => bytes >= (progress[i - 1]?.bytes ?? 0))).toBe(true);
  });

  test("comes whole from a server that knows no ranges, also when it breaks off", async () => {
    bench.offer(MODEL);
    let times = 0;
    bench.hub.trouble = (seen) => {
      if (!isStore(seen)) return undefined;
      const whole = new Response(Uint8Array.from(WEIGHTS));
      return seen.range === undefined && times++ === 0 ? brokenOff(whole, 4000) : whole;
    };
    expect((await bench.fetch(["org/tiny"])).codes).toEqual([]);
    expect(bench.stored("model.safetensors").equals(WEIGHTS)).toBe(true);
  });

  test("is looked up again when the store's address has expired", async () => {
    bench.offer(MODEL);
    atFirst(1, () => refusal(403, undefined, "Request has expired"));
    expect((await bench.fetch(["org/tiny"])).codes).toEqual([]);
    expect(bench.stored("model.safetensors").equals(WEIGHTS)).toBe(true);
  });
});

describe("trouble that passes", () => {
  test.each([
    ["a dropped connection", (honest: () => Response) => brokenOff(honest(), 300)],
    ["a connection dropped before the first byte", (honest: () => Response) => brokenOff(honest(), 0)],
    ["a body that ends early", (honest: () => Response) => truncated(honest(), 300)],
    ["a server error", () => new Response("", { status: 500 })],
    ["a bad gateway", () => new Response("", { status: 502 })],
    ["too many requests", () => new Response("", { status: 429, headers: { "retry-after": "0" } })],
  ])("%s is overcome", async (_, trouble) => {
    bench.offer(MODEL);
    atFirst(3, trouble);
    expect((await bench.fetch(["org/tiny"])).codes).toEqual([]);
    expect(bench.stored("model.safetensors").equals(WEIGHTS)).toBe(true);
  });

  test("a body that stops is given up and goes on where it stopped", async () => {
    bench.offer(MODEL);
    atFirst(1, async (honest) => stalled(honest(), 400));
    // Long enough that the 400 bytes arrive before it on a busy machine, too.
    const { codes, waits } = await bench.fetch(["org/tiny"], { silenceMs: 1000 });
    expect(codes).toEqual([]);
    expect(waits.join()).toContain("no answer for");
    // Of whichever range was asked for first.
    expect(stored().map(({ range }) => range)).toContainEqual(expect.stringMatching(/^bytes=\d?400-\d?999$/));
  });

  test("a slow body is not given up", async () => {
    bench.offer({ ...SMALL, "model.safetensors": WEIGHTS.slice(0, 900) });
    atFirst(1, async (honest) => dripping(honest(), 100, 200));
    const { codes, waits } = await bench.fetch(["org/tiny"], { silenceMs: 1500 });
    expect({ codes, waits }).toEqual({ codes: [], waits: [] });
  });

  test("the wait that a server asks for is kept, by every connection", async () => {
    bench.offer(MODEL);
    const times: number[] = [];
    bench.hub.trouble = (seen) => {
      if (!isStore(seen)) return undefined;
      times.push(performance.now());
      return times.length === 1 ? new Response("", { status: 429, headers: { "retry-after": "1" } }) : undefined;
    };
    const { codes, waits } = await bench.fetch(["org/tiny"]);
    expect(codes).toEqual([]);
    expect(waits[0]).toMatch(/answered 429: next try in [12] s/);
    const early = times.slice(1).filter((time) => time - (times[0] ?? 0) < 900);
    // The other two connections had asked before the answer came.
    expect(early.length).toBeLessThanOrEqual(2);
  });

  test("whatever breaks off and whenever, the content is right in the end", async () => {
    const fault = fc.oneof(
      fc.constant({ kind: "fine" as const, after: 0 }),
      fc.record({ kind: fc.constantFrom("drop", "short", "busy", "whole"), after: fc.integer({ min: 0, max: 1000 }) }),
    );
    const scenario = fc.record({ size: fc.integer({ min: 0, max: 6000 }), faults: fc.array(fault, { maxLength: 12 }) });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ size, faults }) => {
        bench.reset();
        const weights = content(size, size);
        bench.offer({ ...SMALL, "model.safetensors": weights });
        const queue = [...faults];
        bench.hub.trouble = (seen, honest) => {
          const next = isStore(seen) ? queue.shift() : undefined;
          if (next?.kind === "drop") return brokenOff(honest(), next.after);
          if (next?.kind === "short") return truncated(honest(), next.after);
          if (next?.kind === "busy") return new Response("", { status: 503 });
          if (next?.kind === "whole") return new Response(Uint8Array.from(weights));
          return undefined;
        };
        const { codes } = await bench.fetch(["org/tiny"], { patience: { tries: 20, firstWaitMs: 0 } });
        expect(codes).toEqual([]);
        expect(bench.stored("model.safetensors").equals(weights)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });
});

describe("a run that ended early", () => {
  test("leaves the beginning of the file, and the next run asks for the rest only", async () => {
    bench.offer(MODEL);
    const stop = new AbortController();
    const reason = new Error("stopped by hand");
    const run = bench.fetch(["org/tiny"], {
      signal: stop.signal,
      onProgress: ({ file, bytes }) => file === "model.safetensors" && bytes > 4000 && stop.abort(reason),
    });
    await expect(run).rejects.toBe(reason);
    const begun = readFileSync(bench.path("blobs", `${WEIGHTS_ETAG}.incomplete`));
    expect(begun.length).toBeGreaterThan(3000);
    expect(begun.equals(WEIGHTS.slice(0, begun.length))).toBe(true);
    expect(existsSync(bench.path("refs"))).toBe(false);

    bench.hub.seen.length = 0;
    const { codes, progress } = await bench.fetch(["org/tiny"]);
    expect(codes).toEqual([]);
    expect(progress[0]?.earlierBytes).toBe(begun.length);
    const starts = stored().map(({ range }) => Number(/\d+/.exec(range ?? "")?.[0]));
    expect(Math.min(...starts)).toBe(begun.length);
    expect(bench.stored("model.safetensors").equals(WEIGHTS)).toBe(true);
  });

  test("what Hugging Face's own program began is continued", async () => {
    bench.offer(MODEL);
    mkdirSync(bench.path("blobs"), { recursive: true });
    writeFileSync(bench.path("blobs", `${WEIGHTS_ETAG}.incomplete`), WEIGHTS.slice(0, 9000));
    expect((await bench.fetch(["org/tiny"])).codes).toEqual([]);
    expect(stored().map(({ range }) => range)).toEqual(["bytes=9000-9499"]);
  });

  test("a whole file that only lacked its name is not fetched again", async () => {
    bench.offer(MODEL);
    mkdirSync(bench.path("blobs"), { recursive: true });
    writeFileSync(bench.path("blobs", `${WEIGHTS_ETAG}.incomplete`), WEIGHTS);
    expect((await bench.fetch(["org/tiny"])).codes).toEqual([]);
    expect(stored()).toEqual([]);
  });

  test.each([
    ["wrong bytes", content(4000, 7)],
    ["too many bytes", content(12_000)],
  ])("%s in the beginning are found out, and the file is fetched anew", async (_, begun) => {
    bench.offer(MODEL);
    mkdirSync(bench.path("blobs"), { recursive: true });
    writeFileSync(bench.path("blobs", `${WEIGHTS_ETAG}.incomplete`), begun);
    expect((await bench.fetch(["org/tiny"])).codes).toEqual([]);
    expect(bench.stored("model.safetensors").equals(WEIGHTS)).toBe(true);
  });
});

describe("a wrong checksum", () => {
  const changed = (times: number) =>
    atFirst(times, async (honest) => {
      const response = honest();
      const bytes = new Uint8Array(await response.arrayBuffer());
      bytes[0] = (bytes[0] ?? 0) ^ 1;
      return new Response(bytes, { status: response.status, headers: response.headers });
    });

  test("is forgiven once", async () => {
    bench.offer(MODEL);
    changed(1);
    expect((await bench.fetch(["org/tiny"])).codes).toEqual([]);
    expect(bench.stored("model.safetensors").equals(WEIGHTS)).toBe(true);
  });

  test("is an error the second time, and nothing of the file stays", async () => {
    bench.offer(MODEL);
    changed(1000);
    const { codes, text } = await bench.fetch(["org/tiny"]);
    expect(codes).toEqual(["hub-checksum"]);
    expect(text).toContain("model.safetensors did not arrive as the Hub has it");
    expect(stored().length).toBe(20);
    expect(readdirSync(bench.path("blobs")).filter((name) => name.startsWith(WEIGHTS_ETAG))).toEqual([]);
    expect(isFetched()).toBe(false);
  });

  test("of a small file is found out, too", async () => {
    bench.offer(MODEL);
    bench.hub.trouble = (seen) => (seen.path.endsWith("tokenizer.json") ? new Response("[]") : undefined);
    expect((await bench.fetch(["org/tiny"])).codes).toEqual(["hub-checksum"]);
  });

  test("a body longer than the file is one", async () => {
    bench.offer({ ...SMALL, "model.safetensors": WEIGHTS.slice(0, 500) });
    atFirst(1000, () => new Response(content(700)));
    expect((await bench.fetch(["org/tiny"])).codes).toEqual(["hub-checksum"]);
  });
});

describe("trouble that does not pass", () => {
  test("ends after a number of tries; what came stays", async () => {
    bench.offer(MODEL);
    bench.hub.trouble = (seen) =>
      isStore(seen) && seen.range?.startsWith("bytes=5000-") ? new Response("", { status: 500 }) : undefined;
    const { codes, text } = await bench.fetch(["org/tiny"]);
    expect(codes).toEqual(["hub-failing"]);
    expect(text).toContain("failed 4 times in a row");
    expect(readFileSync(bench.path("blobs", `${WEIGHTS_ETAG}.incomplete`)).length).toBe(5000);
  });

  test("of one model stops the others, and is told once", async () => {
    bench.offer(MODEL);
    bench.hub.repositories.set("org/two", {
      commit: COMMIT,
      refs: ["main"],
      files: { ...SMALL, "model.safetensors": content(5000, 9) },
    });
    bench.hub.trouble = (seen) => (isStore(seen) ? new Response("", { status: 500 }) : undefined);
    expect((await bench.fetch(["org/tiny", "org/two"])).codes).toEqual(["hub-failing"]);
  });

  test("a disk that cannot be written to is named", async () => {
    bench.offer(MODEL);
    mkdirSync(bench.cacheDir, { recursive: true });
    writeFileSync(join(bench.cacheDir, ".locks"), "a file where a folder should be");
    const { codes, text } = await bench.fetch(["org/tiny"]);
    expect(codes).toEqual(["cache-failed"]);
    expect(text).toContain("cannot write to the Hugging Face cache");
  });
});

async function truncated(whole: Response, after: number): Promise<Response> {
  const bytes = new Uint8Array(await whole.arrayBuffer()).slice(0, after);
  return new Response(bytes, { status: whole.status, headers: whole.headers });
}

/** A body of which so many bytes come, and then nothing. */
async function stalled(whole: Response, after: number): Promise<Response> {
  const bytes = new Uint8Array(await whole.arrayBuffer());
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes.slice(0, after));
    },
  });
  return new Response(body, { status: whole.status, headers: whole.headers });
}

/** A body that comes in pieces with a pause before each. */
async function dripping(whole: Response, size: number, pauseMs: number): Promise<Response> {
  const bytes = new Uint8Array(await whole.arrayBuffer());
  let at = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await Bun.sleep(pauseMs);
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + size));
      at += size;
    },
  });
  return new Response(body, { status: whole.status, headers: whole.headers });
}
