import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SinterError } from "../../src/errors.ts";
import type { MergePlan } from "../../src/plan/types.ts";
import { runPlan } from "../../src/run/run.ts";
import type { RunOptions, RunProgress } from "../../src/run/types.ts";
import { type FakeOptions, fakeAddon, nativeError } from "./fake-addon.ts";
import { fixture, fixturePlan, OPTIONS, SILENT } from "./plan-fixture.ts";

async function failure(plan: MergePlan, out: string, fake: FakeOptions, options: Partial<RunOptions> = {}) {
  const addon = fakeAddon(fake);
  const error = await runPlan(plan, out, { ...OPTIONS, ...options }, addon, SILENT).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof SinterError)) throw new Error(`expected a SinterError, got ${error}`);
  expect(addon.open.size).toBe(0);
  return { addon, error, problem: error.problems[0] };
}

/** Names in a folder that are not temporary. Nothing of a model may be among them. */
function finalNames(out: string): string[] {
  return existsSync(out) ? readdirSync(out).filter((name) => !name.endsWith(".tmp")) : [];
}

test("a run writes every file of the plan and nothing else", async () => {
  const { out, plan } = fixture();
  const result = await runPlan(plan, out, OPTIONS, fakeAddon(), SILENT);
  expect(readdirSync(out).sort()).toEqual([
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "sinter_manifest.json",
    "tokenizer.json",
  ]);
  expect(result.checksums.get("t3")).toBe("sum-of-t3");
  expect(result.warnings).toEqual([]);
});

test("a shard is its header and its tensors, at the planned offsets", async () => {
  const { out, plan } = fixture();
  await runPlan(plan, out, OPTIONS, fakeAddon(), SILENT);
  const bytes = readFileSync(join(out, "model-00001-of-00002.safetensors"));
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString());
  expect(Object.keys(header)).toEqual(["__metadata__", "t0", "t1"]);
  expect(bytes.length).toBe(plan.shards[0]?.size ?? 0);
  expect(bytes.subarray(plan.ops[0]?.offset)).toEqual(Buffer.alloc(32, 1));
});

test("a torch shard gets the checksums of its tensors in its archive", async () => {
  const { out, plan } = fixture({ format: "torch", tensors: 1, perShard: 1 });
  await runPlan(plan, out, OPTIONS, fakeAddon({ onMerge: (op) => ({ crc32: op.crc32 ? 0x12345678 : 0 }) }), SILENT);
  const bytes = readFileSync(join(out, "pytorch_model.bin"));
  expect(bytes.length).toBe(plan.shards[0]?.size ?? 0);
  expect(bytes.includes(Buffer.from([0x78, 0x56, 0x34, 0x12]))).toBe(true);
  expect(bytes.subarray(0, 2).toString()).toBe("PK");
});

test("a plan without tensors gives a file without tensors", async () => {
  const { out, plan } = fixture({ tensors: 0 });
  await runPlan(plan, out, OPTIONS, fakeAddon(), SILENT);
  expect(readFileSync(join(out, "model.safetensors")).length).toBe(plan.shards[0]?.size ?? 0);
});

test("ops are queued in the order of the files, no more at a time than asked for", async () => {
  const { out, plan } = fixture({ tensors: 9, perShard: 2 });
  const addon = fakeAddon();
  await runPlan(plan, out, { ...OPTIONS, opsInFlight: 3 }, addon, SILENT);
  expect(addon.calls.filter((call) => call.startsWith("merge"))).toEqual(plan.ops.map((op) => `merge ${op.tensor}`));
  expect(addon.mostInFlight()).toBe(3);
});

test("a source is opened once and closed after its last op, before the run ends", async () => {
  const { root, out, plan } = fixture();
  const [first, ...rest] = plan.ops;
  const lone = join(root, "b", "lone.bin");
  writeFileSync(lone, Buffer.alloc(64));
  const input = {
    view: { file: lone, offset: 0, dtype: "F32" as const, shape: [4] },
    model: "b",
    tensor: "t0",
    position: 1,
  };
  const ops = first ? [{ ...first, inputs: [input] }, ...rest] : [];
  const addon = fakeAddon();
  const inputFiles = [...plan.inputFiles, { path: lone, size: 64 }];
  await runPlan({ ...plan, ops, inputFiles }, out, { ...OPTIONS, opsInFlight: 1 }, addon, SILENT);
  expect(addon.calls.filter((call) => call === "open lone.bin")).toHaveLength(1);
  expect(addon.calls.indexOf("close lone.bin")).toBeLessThan(addon.calls.indexOf("merge t1"));
  expect(addon.open.size).toBe(0);
});

test("the manifest of two runs is the same, byte for byte, wherever they lie", async () => {
  const [one, two] = [fixture(), fixture()];
  for (const { plan, out } of [one, two]) await runPlan(plan, out, OPTIONS, fakeAddon(), SILENT);
  const text = readFileSync(join(one.out, "sinter_manifest.json"), "utf8");
  expect(readFileSync(join(two.out, "sinter_manifest.json"), "utf8")).toBe(text);
  expect(JSON.parse(text).tensors.t1).toEqual({ dtype: "F32", shape: [4], xxh3_128: "sum-of-t1" });
  expect(text).not.toContain(one.root);
});

test("progress ends at all bytes read and written", async () => {
  const { out, plan } = fixture();
  const seen: RunProgress[] = [];
  await runPlan(plan, out, OPTIONS, fakeAddon(), { progress: (progress) => seen.push(progress) });
  // While nothing ends, the same is told again.
  const told = new Set(seen.filter(({ phase }) => phase === "merging").map(({ bytes }) => bytes));
  expect([...told]).toEqual([0, 48, 96, 144, 192]);
  expect(seen.every(({ totalBytes }) => totalBytes === 192)).toBe(true);
});

test("without sync no file waits for the disk", async () => {
  const { out, plan } = fixture();
  const addon = fakeAddon();
  await runPlan(plan, out, { ...OPTIONS, sync: false }, addon, SILENT);
  expect(addon.calls.filter((call) => call.startsWith("commit")).every((call) => call.endsWith("without sync"))).toBe(
    true,
  );
});

test("an input that fails is named with its model, tensor and file, and no model is left", async () => {
  const { out, plan } = fixture();
  const { problem, addon } = await failure(plan, join(out, "deep", "er"), {
    onMerge(op) {
      if (op.tensor === "t2") throw nativeError("SOURCE_FAILED", "bus error", 1);
      return undefined;
    },
  });
  expect(problem).toMatchObject({
    code: "source-failed",
    model: "model-b",
    tensor: "t2",
    path: plan.inputFiles[1]?.path,
  });
  expect(addon.calls).toContain("cancel");
  expect(finalNames(join(out, "deep", "er"))).toEqual([]);
});

test("a failure waits for everything in flight before it cleans up", async () => {
  const { out, plan } = fixture();
  let slowEnded = false;
  await failure(plan, out, {
    async onMerge(op) {
      if (op.tensor === "t0") throw nativeError("SINK_WRITE", "I/O error");
      await Bun.sleep(20);
      expect(existsSync(out)).toBe(true);
      slowEnded = true;
      return undefined;
    },
  });
  expect(slowEnded).toBe(true);
  expect(existsSync(out)).toBe(false);
});

test("the first failure is reported, not the cancellations that follow", async () => {
  const { out, plan } = fixture({ tensors: 8 });
  const { error } = await failure(plan, out, {
    onMerge(op) {
      if (op.tensor === "t1") throw nativeError("NO_SPACE", "full");
      return undefined;
    },
  });
  expect(error.problems.map(({ code }) => code)).toEqual(["no-space"]);
});

const FAILING_CALLS: [string, FakeOptions, string][] = [
  ["opening a source", { onOpen: () => fail("SOURCE_OPEN") }, "source-open"],
  ["writing a header", { onWrite: () => fail("SINK_WRITE") }, "sink-write"],
  ["committing a shard", { onCommit: () => fail("SINK_WRITE") }, "sink-write"],
  ["an op that is refused", { onMerge: () => fail("BAD_ARGUMENT") }, "internal"],
];

function fail(code: Parameters<typeof nativeError>[0]): never {
  throw nativeError(code, "for the test");
}

test.each(FAILING_CALLS)("a failure while %s leaves nothing", async (_, fake, code) => {
  const { out, plan } = fixture();
  const { problem } = await failure(plan, out, fake);
  expect(problem?.code).toBe(code);
  expect(existsSync(out)).toBe(false);
});

test("a failure leaves an older model as it was", async () => {
  const { root, out, plan } = fixture();
  await runPlan(plan, out, OPTIONS, fakeAddon(), SILENT);
  const before = readdirSync(out).map((name) => [name, readFileSync(join(out, name), "latin1")]);
  const next = fixturePlan(root, { generation: 2, tensors: 6 });
  await failure(next, out, { onCommit: () => fail("NO_SPACE") }, { force: true });
  expect(finalNames(out).map((name) => [name, readFileSync(join(out, name), "latin1")])).toEqual(before);
});

test("a temporary file that somebody takes away fails the run, and an older model stays as it was", async () => {
  const { root, out, plan } = fixture();
  await runPlan(plan, out, OPTIONS, fakeAddon(), SILENT);
  const before = readdirSync(out).map((name) => [name, readFileSync(join(out, name), "latin1")]);
  const next = fixturePlan(root, { generation: 2 });
  const [side] = next.sideFiles;
  const onMerge = () => {
    rmSync(join(out, `${side?.name}.tmp`), { force: true });
    return undefined;
  };
  const { problem } = await failure(next, out, { onMerge }, { force: true });
  expect(problem).toMatchObject({ code: "file-failed", path: join(out, `${side?.name}.tmp`) });
  expect(finalNames(out).map((name) => [name, readFileSync(join(out, name), "latin1")])).toEqual(before);
});

test("a signal stops the run with its own error, cancels what is in flight and leaves no model", async () => {
  const { out, plan } = fixture({ tensors: 8 });
  const controller = new AbortController();
  const { error, addon } = await failure(
    plan,
    out,
    {
      onMerge(op) {
        if (op.tensor === "t1") controller.abort(new SinterError({ code: "interrupted", message: "stopped" }, 130));
        return undefined;
      },
    },
    { signal: controller.signal },
  );
  expect(error.exitCode).toBe(130);
  expect(error.message).toContain("the same command goes on from there");
  expect(addon.calls).toContain("cancel");
  expect(finalNames(out)).toEqual([]);
});

test("a signal that comes after the last tensor still leaves no model", async () => {
  const { out, plan } = fixture();
  const controller = new AbortController();
  const reason = new SinterError({ code: "interrupted", message: "stopped" }, 143);
  const onCommit = () => controller.abort(reason);
  const { error } = await failure(plan, out, { onCommit }, { signal: controller.signal });
  expect([error.exitCode, error.problems[0]?.code]).toEqual([143, "interrupted"]);
  expect(finalNames(out)).toEqual([]);
});

test("a side file that cannot be copied stops the run before any tensor is read", async () => {
  const { out, plan, root } = fixture();
  rmSync(join(root, "a", "tokenizer.json"));
  const { problem, addon } = await failure(plan, out, {});
  expect(problem?.path).toBe(join(root, "a", "tokenizer.json"));
  expect(addon.calls).toEqual([]);
  expect(existsSync(out)).toBe(false);
});

test("inputs that changed since planning are all named before anything is written", async () => {
  const { out, plan } = fixture();
  for (const { path, size } of plan.inputFiles) truncateSync(path, size - 1);
  const { error, addon } = await failure(plan, out, {});
  expect(error.problems.map(({ code, path }) => [code, path])).toEqual(
    plan.inputFiles.map(({ path }) => ["source-changed", path]),
  );
  expect(addon.calls).toEqual([]);
  expect(existsSync(out)).toBe(false);
});

test("an input that changes between the check and its opening stops the run", async () => {
  const { out, plan } = fixture();
  const { problem } = await failure(plan, out, { grown: 8 });
  expect(problem).toMatchObject({ code: "source-changed", model: "model-a" });
});

test("a temporary file that another process replaced is not given a final name", async () => {
  const { out, plan } = fixture();
  const { problem } = await failure(plan, out, {
    onCommit(path) {
      rmSync(path);
      writeFileSync(path, "not ours");
    },
  });
  expect(problem?.code).toBe("shard-replaced");
  expect(existsSync(out)).toBe(false);
});

test("temporary files of a run that was killed are removed; other files stay", async () => {
  const { out, plan } = fixture();
  mkdirSync(out);
  for (const name of ["model-00001-of-00009.safetensors.tmp", "config.json.tmp", "notes.tmp"]) {
    writeFileSync(join(out, name), "old");
  }
  await runPlan(plan, out, OPTIONS, fakeAddon(), SILENT);
  expect(readdirSync(out).filter((name) => name.endsWith(".tmp"))).toEqual(["notes.tmp"]);
});

test("tokenizer files of a replaced model that the new one lacks are named in a warning", async () => {
  const { root, out, plan } = fixture();
  await runPlan(plan, out, OPTIONS, fakeAddon(), SILENT);
  const next = fixturePlan(root, { generation: 2, sideFiles: [{ name: "config.json", text: "{}" }] });
  const { warnings } = await runPlan(next, out, { ...OPTIONS, force: true }, fakeAddon(), SILENT);
  expect(warnings.map(({ code, message }) => [code, message.includes("tokenizer.json")])).toEqual([
    ["files-kept", true],
  ]);
});
