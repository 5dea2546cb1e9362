import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/paths.ts";
import { layMainPackage } from "../../scripts/release/packages.ts";
import { type Architecture, platformPackage } from "../../scripts/release/paths.ts";
import { ADDON_PLACE } from "../../scripts/release/stage.ts";
import { workplace, writeModels } from "../docs/fixture.ts";
import { startFakeHub } from "../model/hub/fake-hub.ts";
import { PATIENCE } from "../support/patience.ts";
import { NODE } from "./node.ts";

const ADDON_BUILT = existsSync(join(ROOT, ADDON_PLACE));
const root = mkdtempSync(join(realpathSync(tmpdir()), "sinter-node-"));
const work = join(root, "work");

if (NODE === undefined) console.log("no Node 22 on the PATH: the library is not tested in it (SINTER_NODE names one)");

/** The package as npm lays it, but for the executable, and a platform's package with the addon. */
beforeAll(async () => {
  if (NODE === undefined) return;
  await layMainPackage(join(root, "node_modules", "sinter"), ROOT);
  const platform = join(root, "node_modules", platformPackage(process.arch as Architecture));
  mkdirSync(platform, { recursive: true });
  symlinkSync(join(ROOT, ADDON_PLACE), join(platform, "sinter.node"));
  writeFileSync(join(platform, "package.json"), JSON.stringify({ main: "sinter.node" }));
  writeModels(join(root, "models"));
  workplace(work, join(root, "models"));
}, PATIENCE);

afterAll(() => rmSync(root, { recursive: true, force: true }), PATIENCE);

/** Runs a program that imports sinter, and returns what it prints. */
async function start(runtime: string, name: string, program: string, env: Record<string, string> = {}) {
  const file = join(root, `${name}.mjs`);
  writeFileSync(file, program);
  const child = Bun.spawn([runtime, file], {
    cwd: work,
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, out, err };
}

/** What Node and Bun print for the same program. */
async function both(name: string, program: (runtime: string) => string) {
  const runtimes = [
    ["node", NODE as string],
    ["bun", process.execPath],
  ] as const;
  return await Promise.all(runtimes.map(([runtime, path]) => start(path, `${name}-${runtime}`, program(runtime))));
}

describe.skipIf(NODE === undefined || !ADDON_BUILT)("in Node", () => {
  test(
    "plans are those of Bun, for every example",
    async () => {
      const names = readdirSync(join(ROOT, "examples")).filter((name) => name.endsWith(".yml"));
      const [inNode, inBun] = await both(
        "plan",
        () => `import { plan } from "sinter";
for (const name of ${JSON.stringify(names)}) {
  const { ops, shards, totals, warnings } = await plan("examples/" + name);
  console.log(name, JSON.stringify({ ops, shards, totals, warnings }, (key, value) => ArrayBuffer.isView(value) ? [...value] : value));
}`,
      );
      expect(inNode).toMatchObject({ code: 0, err: "" });
      expect(inNode?.out === inBun?.out).toBe(true);
      expect(inNode?.out.split("\n").length).toBe(names.length + 1);
    },
    PATIENCE,
  );

  test(
    "merges have the same bytes, as safetensors and as PyTorch's files, with adapters and with tokenizers",
    async () => {
      const merges = [
        ["dare-ties", "{}"],
        ["lora", "{ safeSerialization: false }"],
        ["union", "{}"],
      ];
      const [inNode, inBun] = await both(
        "merge",
        (runtime) => `import { merge } from "sinter";
for (const [name, options] of [${merges.map(([name, options]) => `["${name}", ${options}]`).join(", ")}]) {
  const phases = new Set();
  const onProgress = ({ phase }) => phases.add(phase);
  const { checksums } = await merge("examples/" + name + ".yml", "${runtime}-" + name, { ...options, name: "merged", onProgress });
  console.log(name, JSON.stringify([...checksums]), [...phases].sort().join());
}`,
      );
      expect(inNode).toEqual({ code: 0, out: inBun?.out ?? "", err: "" });
      for (const [name] of merges) {
        const folders = ["node", "bun"].map((runtime) => join(work, `${runtime}-${name}`));
        const files = readdirSync(folders[0] as string);
        expect(files).toEqual(readdirSync(folders[1] as string));
        for (const file of files) {
          const [one, other] = folders.map((folder) => readFileSync(join(folder, file)));
          expect([name, file, one?.equals(other as Buffer)]).toEqual([name, file, true]);
        }
      }
    },
    PATIENCE,
  );

  test(
    "problems are those of Bun, and a signal stops a merge",
    async () => {
      writeFileSync(join(work, "wrong.yml"), "merge_method: tise\nmodels: [{model: ./chatt}]\n");
      const [inNode, inBun] = await both(
        "wrong",
        (runtime) => `import { formatProblem, merge, plan, SinterError } from "sinter";
const told = (error) => console.log(error instanceof SinterError ? error.problems.map(formatProblem).join("\\n") : error.message);
await plan("wrong.yml").catch(told);
const stop = new AbortController();
const onProgress = () => stop.abort(new Error("stopped by the user"));
await merge("examples/ties.yml", "${runtime}-stopped", { signal: stop.signal, onProgress }).catch(told);`,
      );
      expect(inNode).toMatchObject({ code: 0, err: "" });
      expect(inNode?.out).toBe(inBun?.out as string);
      expect(inNode?.out).toEndWith("stopped by the user\n");
      expect(existsSync(join(work, "node-stopped", "config.json"))).toBe(false);
    },
    PATIENCE,
  );

  test(
    "models are downloaded from the Hub",
    async () => {
      const hub = startFakeHub();
      try {
        const chat = join(root, "models", "demo", "models", "chat");
        const files = Object.fromEntries(readdirSync(chat).map((name) => [name, readFileSync(join(chat, name))]));
        hub.repositories.set("org/chat", { commit: "c".repeat(40), refs: ["main"], files });
        const program = `import { merge } from "sinter";
const recipe = { merge_method: "passthrough", models: [{ model: "org/chat" }] };
await merge(recipe, "downloaded", { onWarning: console.log });`;
        const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: join(root, "home"), HF_HUB_OFFLINE: "", HF_TOKEN: "" };
        expect(await start(NODE as string, "hub", program, env)).toEqual({ code: 0, out: "", err: "" });
        expect(readdirSync(join(work, "downloaded"))).toContain("model.safetensors");
      } finally {
        hub.stop();
      }
    },
    PATIENCE,
  );
});
