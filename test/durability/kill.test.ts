import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { native } from "../../src/native.ts";
import { JOURNAL_NAME } from "../../src/run/journal.ts";
import { carryOut, contents, ENTRIES, type Merge, planOf, randomNumbers } from "./merges.ts";
import { untouchedMerges } from "./untouched.ts";

/** More with `SINTER_KILLS=200 bun test test/durability/kill.test.ts`. */
const KILLS = Number(process.env.SINTER_KILLS ?? 10);
const SEED = Number(process.env.SINTER_SEED ?? 1);

const root = mkdtempSync(join(tmpdir(), "sinter-kill-"));
const merges = untouchedMerges(root);

/** Lets a process merge until it kills itself. @returns whether it got so far. */
async function killed(
  merge: Merge,
  out: string,
  { threads, writes }: { threads: number; writes: string },
  moment: [string, number],
  isForced: boolean,
): Promise<boolean> {
  const script = join(import.meta.dir, "victim.ts");
  const args = [JSON.stringify(merge), out, String(threads), moment[0], String(moment[1]), isForced ? "force" : ""];
  const child = Bun.spawn([process.execPath, script, ...args], {
    env: { ...process.env, SINTER_WRITE_PATH: writes },
    stdout: "ignore",
    stderr: "pipe",
  });
  const stderr = await new Response(child.stderr).text();
  await child.exited;
  expect([stderr, child.exitCode ?? 0]).toEqual(["", 0]);
  return child.signalCode === "SIGKILL";
}

const undisturbed = new Map<Merge, Map<string, string>>();
async function expected(merge: Merge): Promise<Map<string, string>> {
  let known = undisturbed.get(merge);
  if (known === undefined) {
    const out = join(root, `undisturbed-${undisturbed.size}`);
    await carryOut(planOf(merge), out);
    known = contents(out);
    undisturbed.set(merge, known);
  }
  return known;
}

const isWhole = (found: Map<string, string>, wanted: Map<string, string>) =>
  wanted.size > 0 && [...wanted].every(([name, bytes]) => found.get(name) === bytes);

/** Contents are compared apart: as values, the test would print megabytes. */
function expectAll(found: Map<string, string>, wanted: Map<string, string>): void {
  for (const [name, bytes] of wanted) expect([name, found.get(name) === bytes]).toEqual([name, true]);
}

test(
  `a merge that is killed at ${KILLS} random points gives the bytes of one that is not, and never half a model`,
  async () => {
    const random = randomNumbers(SEED);
    let kills = 0;
    const beginnings: string[] = [];
    for (let round = 0; kills < KILLS; round++) {
      // Every method, kind of files and number of threads comes soon: 7 has no factor in common with 15.
      const merge = merges()[(7 * round) % merges().length] as Merge;
      const plan = planOf(merge);
      const out = join(root, `out-${round}`);
      const times = 1 + Math.floor(3 * random());
      // A third of the time there is an older model, of any other merge, which stays whole until the new one is.
      const older = merges()[Math.floor(merges().length * random())] as Merge;
      const isForced = random() < 0.33 && older !== merge;
      if (isForced) await carryOut(planOf(older), out);
      const old = isForced ? contents(out) : new Map<string, string>();
      for (let i = 0; i < times && kills < KILLS; i++) {
        const moment: [string, number] =
          random() < 0.5 ? ["op", 1 + Math.floor(plan.ops.length * random())] : ["time", Math.floor(40 * random())];
        const how = { threads: 1 + Math.floor(4 * random()), writes: random() < 0.5 ? "direct" : "flushed" };
        if (!(await killed(merge, out, how, moment, isForced))) break;
        kills++;
        // It may have ended just before.
        if (existsSync(out) && !existsSync(join(out, JOURNAL_NAME))) break;
        if (!ENTRIES.some((name) => existsSync(join(out, name)))) continue;
        const found = contents(out);
        if (!isWhole(found, old)) expectAll(found, await expected(merge));
      }
      const isDone = existsSync(out) && !existsSync(join(out, JOURNAL_NAME)) && readdirSync(out).length > 0;
      if (!isDone || isWhole(contents(out), old)) {
        native().configure({ threads: 1 + (round % 4) });
        await carryOut(plan, out, { force: isForced }, { progress() {}, begun: ({ kind }) => beginnings.push(kind) });
      }
      const names = [...contents(out).keys()];
      const wanted = await expected(merge);
      expect(names).toEqual([...wanted.keys()]);
      expectAll(contents(out), wanted);
      rmSync(out, { recursive: true });
    }
    expect(beginnings).toContain("resumed");
    expect(beginnings).not.toContain("restarted");
  },
  60_000 + 2000 * KILLS,
);
