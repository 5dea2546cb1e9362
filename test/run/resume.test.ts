import { expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { SinterError } from "../../src/errors.ts";
import type { MergePlan } from "../../src/plan/types.ts";
import { finishSteps } from "../../src/run/finish.ts";
import { JOURNAL_NAME, Journal, readJournal } from "../../src/run/journal.ts";
import { journalHeader } from "../../src/run/journal-header.ts";
import { runPlan } from "../../src/run/run.ts";
import type { RunOptions } from "../../src/run/types.ts";
import type { Beginning } from "../../src/run/unfinished.ts";
import { type FakeAddon, type FakeOptions, fakeAddon, nativeError } from "./fake-addon.ts";
import { fixture, fixturePlan, OPTIONS, SILENT } from "./plan-fixture.ts";

const IN_TURN = { ...OPTIONS, opsInFlight: 1 };

/** Runs until the op of a tensor fails. */
async function stopAt(
  tensor: string,
  plan: MergePlan,
  out: string,
  options: Partial<RunOptions> = {},
): Promise<SinterError> {
  const addon = fakeAddon({
    onMerge(op) {
      if (op.tensor === tensor) throw nativeError("NO_SPACE", "full");
      return undefined;
    },
  });
  return await runPlan(plan, out, { ...IN_TURN, ...options }, addon, SILENT).then(
    () => Promise.reject(new Error("the run did not fail")),
    (error: SinterError) => error,
  );
}

async function run(plan: MergePlan, out: string, options: Partial<RunOptions> = {}, fake: FakeOptions = {}) {
  const addon = fakeAddon(fake);
  let beginning: Beginning | undefined;
  const begun = (how: Beginning) => {
    beginning = how;
  };
  await runPlan(plan, out, { ...IN_TURN, ...options }, addon, { progress() {}, begun });
  return { addon, beginning };
}

const ops = ({ calls }: FakeAddon) => calls.filter((call) => /^(merge|check) /.test(call));

function contents(out: string): [string, string][] {
  return readdirSync(out)
    .sort()
    .map((name) => [name, readFileSync(join(out, name), "latin1")]);
}

/** What a run that nobody disturbs writes. */
async function undisturbed(plan: MergePlan, out: string): Promise<[string, string][]> {
  await run(plan, out);
  const found = contents(out);
  rmSync(out, { recursive: true });
  return found;
}

test("what was computed is checked, only what is missing is computed, and the files are the same", async () => {
  const { out, plan } = fixture({ tensors: 6 });
  const wanted = await undisturbed(plan, out);
  const error = await stopAt("t3", plan, out);
  expect(error.problems[0]?.hint).toContain(`what is done is kept in ${out}: the same command goes on from there`);
  expect(readdirSync(out).every((name) => name.endsWith(".tmp"))).toBe(true);
  const { addon, beginning } = await run(plan, out);
  expect(beginning).toEqual({ kind: "resumed", tensors: 3, bytes: 48 });
  expect(ops(addon)).toEqual(["check t0", "check t1", "check t2", "merge t3", "merge t4", "merge t5"]);
  expect(contents(out)).toEqual(wanted);
});

test("a tensor that is not what the journal says is computed again", async () => {
  const { out, plan } = fixture();
  const wanted = await undisturbed(plan, out);
  await stopAt("t3", plan, out);
  const onCheck = (tensor: string) => (tensor === "t1" ? { checksum: "another" } : undefined);
  const { addon } = await run(plan, out, {}, { onCheck });
  expect(ops(addon)).toEqual(["check t0", "check t1", "merge t1", "check t2", "merge t3"]);
  expect(contents(out)).toEqual(wanted);
});

test("a run may be stopped again and again", async () => {
  const { out, plan } = fixture({ tensors: 6 });
  const wanted = await undisturbed(plan, out);
  for (const tensor of ["t1", "t2", "t4", "t5"]) await stopAt(tensor, plan, out);
  const { addon } = await run(plan, out);
  expect(ops(addon).filter((call) => call.startsWith("merge"))).toEqual(["merge t5"]);
  expect(contents(out)).toEqual(wanted);
});

test("what an input held is remembered: a NaN found before the interruption is still told of", async () => {
  const { out, plan } = fixture();
  const fake = fakeAddon({
    onMerge(op) {
      if (op.tensor === "t2") throw nativeError("NO_SPACE", "full");
      return { nonFinite: [false, op.tensor === "t0"] };
    },
  });
  await runPlan(plan, out, IN_TURN, fake, SILENT).catch(() => undefined);
  const { warnings } = await runPlan(plan, out, IN_TURN, fakeAddon(), SILENT);
  expect(warnings[0]).toMatchObject({ code: "non-finite", model: "model-b" });
});

const recipe = { program: "merge", text: "merge_method: linear\n", options: { seed: 0, outShardSize: 32 } };
const withRecipe = (plan: MergePlan, change: object = {}) =>
  ({ ...plan, recipe: { ...recipe, ...change } }) as unknown as MergePlan;

const CHANGES: [string, (plan: MergePlan) => MergePlan, RegExp][] = [
  [
    "the date of an input",
    (plan) => {
      utimesSync(plan.inputFiles[1]?.path ?? "", 1e9, 1e9);
      return plan;
    },
    /^the input .*weights-1\.bin changed: it was written again, on 2001-09-09/,
  ],
  [
    "the size of an input",
    (plan) => {
      const [first, ...rest] = plan.inputFiles;
      appendFileSync(first?.path ?? "", "more");
      return { ...plan, inputFiles: [{ path: first?.path ?? "", size: (first?.size ?? 0) + 4 }, ...rest] };
    },
    /^the input .* changed: it had 64 bytes, now it has 68$/,
  ],
  [
    "the beginning of an input",
    (plan) => {
      const path = plan.inputFiles[0]?.path ?? "";
      writeFileSync(path, Buffer.alloc(64, 9));
      return plan;
    },
    /^the input .* changed: its header is another$/,
  ],
  [
    "an option",
    (plan) => withRecipe(plan, { options: { seed: 7, outShardSize: 32 } }),
    /^the option --seed was 0 and is 7$/,
  ],
  ["the recipe", (plan) => withRecipe(plan, { text: "merge_method: ties\n" }), /^the recipe changed$/],
  ["the seed of a plan without a recipe", (plan) => ({ ...plan, seed: 1 }), /^the plan is another$/],
];

test.each(CHANGES)("after a change of %s nothing old is used, and it is said why", async (_, change, reason) => {
  const { out, plan: bare } = fixture();
  const plan = withRecipe(bare);
  await stopAt("t3", plan, out);
  const { addon, beginning } = await run(change(plan), out);
  expect(beginning).toEqual({ kind: "restarted", reasons: [expect.stringMatching(reason)] });
  expect(ops(addon)).toEqual(["merge t0", "merge t1", "merge t2", "merge t3"]);
});

test("with --no-resume nothing old is used", async () => {
  const { out, plan } = fixture();
  await stopAt("t3", plan, out);
  const { addon } = await run(plan, out, { resume: false });
  expect(ops(addon)).toEqual(["merge t0", "merge t1", "merge t2", "merge t3"]);
});

test("an input that changes while the merge runs fails it at the end, and nothing is left", async () => {
  const { out, plan } = fixture();
  const onMerge = () => {
    utimesSync(plan.inputFiles[0]?.path ?? "", 1e9, 1e9);
    return undefined;
  };
  const error = await run(plan, out, {}, { onMerge }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ problems: [{ code: "source-changed", path: plan.inputFiles[0]?.path }] });
  expect(existsSync(out)).toBe(false);
});

test("a run that is never gone on with leaves nothing", async () => {
  const { out, plan } = fixture();
  const error = await stopAt("t3", plan, out, { resume: "never" });
  expect(error.message).not.toContain("goes on from there");
  expect(existsSync(out)).toBe(false);
});

test("an input that cannot be read for a while costs no work", async () => {
  const { out, plan } = fixture();
  const wanted = await undisturbed(plan, out);
  const path = plan.inputFiles[0]?.path ?? "";
  const onMerge = (op: { tensor: string }) => {
    if (op.tensor !== "t2") return undefined;
    renameSync(path, `${path}.away`);
    throw nativeError("SOURCE_FAILED", "I/O error", 0);
  };
  await run(plan, out, {}, { onMerge }).catch(() => undefined);
  expect(await run(plan, out).catch((error: SinterError) => error.problems[0]?.code)).toBe("file-failed");
  renameSync(`${path}.away`, path);
  const { beginning } = await run(plan, out);
  expect(beginning).toMatchObject({ kind: "resumed", tensors: 2 });
  expect(contents(out)).toEqual(wanted);
});

test("a folder that another process writes to is left alone", async () => {
  const { out, plan } = fixture();
  await stopAt("t3", plan, out);
  const before = contents(out);
  const onLock = () => {
    throw nativeError("LOCKED", "in use");
  };
  const error = await run(plan, out, {}, { onLock }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ problems: [{ code: "output-in-use" }] });
  expect(contents(out)).toEqual(before);
});

test("a file that the disk failed to store is not gone on with", async () => {
  const { out, plan } = fixture();
  const wanted = await undisturbed(plan, out);
  const onCommit = (path: string) => {
    if (path.includes("00001")) throw nativeError("SINK_WRITE", "I/O error");
  };
  await runPlan(plan, out, OPTIONS, fakeAddon({ onCommit }), SILENT).catch(() => undefined);
  const { addon } = await run(plan, out);
  expect(ops(addon).slice(0, 2)).toEqual(["merge t0", "merge t1"]);
  expect(contents(out)).toEqual(wanted);
});

test("an older model stays until the interrupted merge is done", async () => {
  const { root, out, plan } = fixture();
  await run(plan, out);
  const before = contents(out);
  const next = fixturePlan(root, { generation: 2, tensors: 6 });
  await stopAt("t4", next, out, { force: true });
  expect(contents(out).filter(([name]) => !name.endsWith(".tmp"))).toEqual(before);
  const refused = await run(next, out).catch((error: unknown) => error);
  expect(refused).toMatchObject({ problems: [{ code: "output-holds-model" }] });
  const { beginning } = await run(next, out, { force: true });
  expect(beginning).toMatchObject({ kind: "resumed", tensors: 4 });
  expect(readFileSync(join(out, "config.json"), "utf8")).toBe('{"generation": 2}');
});

test.each([1, 2])(
  "a run that was killed while files got their names ends well, after any step (%d per file)",
  async (perShard) => {
    const { out, plan } = fixture({ tensors: 2, perShard });
    const wanted = await undisturbed(plan, out);
    const nothing = { path: out, exists: false, entries: [], leftovers: [] };
    const published = finishSteps(plan, nothing).flatMap((step) => (step.kind === "publish" ? [step.file] : []));
    for (let done = 0; done <= published.length; done++) {
      await run(plan, out);
      const journal = Journal.create(out, journalHeader(plan), false);
      for (const [i, { tensor }] of plan.ops.entries()) {
        journal.opDone(i, 16, { checksum: `sum-of-${tensor}`, crc32: 7, nonFinite: [false, false] });
      }
      await journal.finish();
      await journal.close();
      for (const name of published.slice(done)) renameSync(join(out, name), join(out, `${name}.tmp`));
      const { addon } = await run(plan, out);
      expect(ops(addon)).toEqual(["check t0", "check t1"]);
      expect(contents(out)).toEqual(wanted);
      rmSync(out, { recursive: true });
    }
  },
);

test("a journal's line that is there in part, or changed, does not count", async () => {
  const { root, plan } = fixture();
  const journal = Journal.create(root, journalHeader(plan), false);
  const result = { checksum: "0123", crc32: 4, nonFinite: [true, false] };
  for (const op of [0, 1, 2]) journal.opDone(op, 16, result);
  await journal.close();
  const path = join(root, JOURNAL_NAME);
  const text = readFileSync(path, "utf8");
  expect(readJournal(root)?.done.get(1)).toEqual({ bytes: 16, result });
  for (let length = 0; length < text.length; length++) {
    writeFileSync(path, text.slice(0, length));
    const lines = text.slice(0, length + 1).split("\n").length - 1;
    expect(readJournal(root)?.done.size).toBe(lines === 0 ? undefined : Math.min(lines - 1, 3));
  }
  writeFileSync(path, text.replace("[1,16", "[2,16"));
  expect([...(readJournal(root)?.done.keys() ?? [])]).toEqual([0, 2]);
});

test("what is written after a line in part is read", async () => {
  const { root, plan } = fixture();
  const path = join(root, JOURNAL_NAME);
  const result = { checksum: "0123", crc32: 4, nonFinite: [] };
  const first = Journal.create(root, journalHeader(plan), true);
  first.opDone(0, 16, result);
  first.opDone(1, 16, result);
  await first.close();
  writeFileSync(path, readFileSync(path).subarray(0, -9));
  const second = Journal.append(root, true);
  second.opDone(2, 16, result);
  await second.close();
  expect([...(readJournal(root)?.done.keys() ?? [])]).toEqual([0, 2]);
});

test("an explicit --resume without anything to go on from is an error, and touches nothing", async () => {
  const { out, plan } = fixture();
  const only = (one: MergePlan) => run(one, out, { resume: "only" });
  await expect(only(plan)).rejects.toThrow("there is no interrupted merge to resume in the output folder");
  expect(existsSync(out)).toBe(false);

  await stopAt("t2", plan, out);
  const before = contents(out);
  const another = "the interrupted merge in the output folder is another: the plan is another";
  await expect(only({ ...plan, seed: plan.seed + 1 })).rejects.toThrow(another);
  expect(contents(out)).toEqual(before);

  expect((await only(plan)).beginning).toMatchObject({ kind: "resumed", tensors: 2 });
});

test.skipIf(!existsSync("/dev/full"))("a journal that cannot be written: a whole model, and a warning", async () => {
  const { out, plan } = fixture();
  const wanted = await undisturbed(plan, out);
  mkdirSync(out);
  symlinkSync("/dev/full", join(out, JOURNAL_NAME));
  const { warnings } = await runPlan(plan, out, IN_TURN, fakeAddon(), SILENT);
  expect(warnings).toMatchObject([{ message: expect.stringContaining("could not note what was done") }]);
  expect(contents(out)).toEqual(wanted);
});
