import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SinterError } from "../../src/errors.ts";
import type { MergePlan } from "../../src/plan/types.ts";
import { JOURNAL_NAME } from "../../src/run/journal.ts";
import { PATIENCE } from "../support/patience.ts";
import { carryOut, contents, type Merge, planOf, randomNumbers } from "./merges.ts";
import { untouchedMerges } from "./untouched.ts";

const ROUNDS = Number(process.env.SINTER_POWER_CUTS ?? 20);
const PAGE = 4096;

const root = mkdtempSync(join(tmpdir(), "sinter-power-"));
const merges = untouchedMerges(root);

/** Stops a merge after some of its ops. */
async function interrupted(plan: MergePlan, out: string, ops: number): Promise<void> {
  const controller = new AbortController();
  let ended = 0;
  const progress = () => {
    if (++ended >= ops) controller.abort(new SinterError({ code: "interrupted", message: "stopped" }, 130));
  };
  await carryOut(plan, out, { signal: controller.signal }, { progress }).catch(() => undefined);
}

/** What a disk may make of writes that it was not made to keep: pages that are zeros, a file that ends early. */
function losePages(path: string, random: () => number): void {
  const bytes = readFileSync(path);
  for (let page = 0; page < bytes.length; page += PAGE) {
    if (random() < 0.1) bytes.fill(0, page, Math.min(page + PAGE, bytes.length));
  }
  writeFileSync(path, bytes);
  if (random() < 0.3) truncateSync(path, Math.floor(bytes.length * random()));
}

describe("whatever of the unsynced writes a power cut loses", () => {
  test(
    `the next run gives the bytes of an undisturbed one (${ROUNDS} cuts)`,
    async () => {
      const random = randomNumbers(Number(process.env.SINTER_SEED ?? 1));
      const undisturbed = new Map<Merge, Map<string, string>>();
      for (let round = 0; round < ROUNDS; round++) {
        const merge = merges()[(7 * round) % merges().length] as Merge;
        const plan = planOf(merge);
        if (!undisturbed.has(merge)) {
          await carryOut(plan, join(root, "undisturbed"));
          undisturbed.set(merge, contents(join(root, "undisturbed")));
          rmSync(join(root, "undisturbed"), { recursive: true });
        }
        const out = join(root, "out");
        await interrupted(plan, out, 1 + Math.floor(plan.ops.length * random()));
        for (const name of readdirSync(out)) {
          expect(name).toEndWith(".tmp");
          if (name !== JOURNAL_NAME || random() < 0.3) losePages(join(out, name), random);
        }
        await carryOut(plan, out);
        const found = contents(out);
        for (const [name, bytes] of undisturbed.get(merge) ?? [])
          expect([name, found.get(name) === bytes]).toEqual([name, true]);
        expect(found.size).toBe(undisturbed.get(merge)?.size ?? 0);
        rmSync(out, { recursive: true });
      }
    },
    PATIENCE,
  );

  test("a tensor whose bytes are lost is computed, one whose bytes are there is not", async () => {
    const plan = planOf(merges()[1] as Merge);
    const out = join(root, "some");
    await interrupted(plan, out, plan.ops.length - 4);
    const [first] = plan.shards;
    const path = join(out, `${first?.file}.tmp`);
    const bytes = readFileSync(path);
    bytes.fill(0, plan.ops[0]?.offset, (plan.ops[0]?.offset ?? 0) + 64);
    writeFileSync(path, bytes);
    let earlier = 0;
    let all = 0;
    const progress = ({ earlierBytes, totalBytes }: { earlierBytes: number; totalBytes: number }) => {
      earlier = earlierBytes;
      all = totalBytes;
    };
    await carryOut(plan, out, {}, { progress });
    expect(earlier).toBeGreaterThan(0);
    expect(earlier).toBeLessThan(all);
    rmSync(out, { recursive: true });
  });
});
