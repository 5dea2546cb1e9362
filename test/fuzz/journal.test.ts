import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { SinterError } from "../../src/errors.ts";
import { shortHash } from "../../src/hash.ts";
import type { MergePlan } from "../../src/plan/types.ts";
import { JOURNAL_NAME } from "../../src/run/journal.ts";
import { carryOut, contents, type Merge, planOf, writeMerges } from "../durability/merges.ts";
import { mutated, mutatedJson } from "./mutate.ts";

const root = mkdtempSync(join(tmpdir(), "sinter-journal-"));
afterAll(() => rmSync(root, { recursive: true }));

interface Interrupted {
  plan: MergePlan;
  /** What a stopped run left. */
  left: string;
  journal: Buffer;
  undisturbed: Map<string, string>;
}
const cases: Interrupted[] = [];

beforeAll(async () => {
  const merges = writeMerges(root, { vocab: 301, layers: 1 });
  // A file, several files, and those of PyTorch, whose archives hold checksums that the journal keeps.
  for (const [i, merge] of merges.slice(0, 3).entries()) {
    const plan = planOf(merge as Merge);
    const left = join(root, `left-${i}`);
    const controller = new AbortController();
    let ended = 0;
    const progress = () => {
      if (++ended === plan.ops.length - 3)
        controller.abort(new SinterError({ code: "interrupted", message: "stopped" }));
    };
    await carryOut(plan, left, { signal: controller.signal, sync: false }, { progress }).catch(() => undefined);
    await carryOut(plan, join(root, "out"), { sync: false });
    const undisturbed = contents(join(root, "out"));
    rmSync(join(root, "out"), { recursive: true });
    cases.push({ plan, left, journal: readFileSync(join(left, JOURNAL_NAME)), undisturbed });
  }
});

let turn = 0;

/**
 * Goes on from what was left with another journal: whatever it says, the model is the undisturbed one.
 * @returns bytes that were not computed again.
 */
async function goesOn({ plan, left, undisturbed }: Interrupted, journal: Uint8Array | string): Promise<number> {
  let earlier = 0;
  const out = join(root, `out-${++turn}`);
  cpSync(left, out, { recursive: true });
  writeFileSync(join(out, JOURNAL_NAME), journal);
  await carryOut(plan, out, { sync: false }, { progress: ({ earlierBytes }) => (earlier = earlierBytes) });
  const found = contents(out);
  rmSync(out, { recursive: true });
  expect([...found.keys()]).toEqual([...undisturbed.keys()]);
  for (const [name, bytes] of undisturbed) expect([name, found.get(name) === bytes]).toEqual([name, true]);
  return earlier;
}

/** A line as the journal has it: whoever wants to deceive can make its checksum. */
const line = (json: string) => `${json} ${shortHash(json)}\n`;
/** No limit of time: a run that is interrupted would go on beside the next test, in the same process. */
const LIMITS = { numRuns: 60 };
const anyCase = fc.nat(2);

describe("whatever the journal of an interrupted merge holds, the next run writes the undisturbed model", () => {
  test("its own", async () => {
    for (const one of cases) expect(await goesOn(one, one.journal)).toBeGreaterThan(0);
  });

  test("random changes", async () => {
    const property = fc.asyncProperty(anyCase, fc.nat(), async (i, seed) => {
      const one = cases[i] as Interrupted;
      for (const bytes of fc.sample(mutated([one.journal]), { numRuns: 1, seed })) await goesOn(one, bytes);
    });
    await fc.assert(property, LIMITS);
  });

  test("lines whose values were changed, with the right checksums", async () => {
    const property = fc.asyncProperty(anyCase, fc.nat(), async (i, seed) => {
      const one = cases[i] as Interrupted;
      const lines = one.journal
        .toString()
        .trim()
        .split("\n")
        .map((text) => text.slice(0, -17));
      const changed = lines.map((text, at) => {
        const touched = (seed + at) % 4 === 0;
        return line(
          touched ? (fc.sample(mutatedJson([Buffer.from(text)]), { numRuns: 1, seed: seed + at })[0] ?? text) : text,
        );
      });
      await goesOn(one, changed.join(""));
    });
    await fc.assert(property, LIMITS);
  });

  test("lines that claim what is not: checksums of the archive, ops that there are not, files that have their names", async () => {
    for (const one of cases) {
      const [header = "", ...rest] = one.journal
        .toString()
        .trim()
        .split("\n")
        .map((text) => text.slice(0, -17));
      const entries = rest.map((text) => JSON.parse(text));
      const lies = [
        entries.map(([op, bytes, checksum, , flags]) => [op, bytes, checksum, 12345, flags]),
        entries.map(([op, bytes, checksum, crc32, flags]) => [op + 1, bytes, checksum, crc32, flags]),
        entries.map(([op, , checksum, crc32, flags]) => [-op, 1e308, checksum, crc32, flags]),
        [...entries, "finish"],
        ["finish", "finish", null, [], {}, [0], [1e300, 1, "", 0, ""], ...entries],
      ];
      for (const lie of lies)
        await goesOn(one, [header, ...lie.map((value) => JSON.stringify(value))].map(line).join(""));
      const hostile = JSON.parse(header);
      hostile.options = { seed: { toString: 1 }, constructor: null, ["__proto__"]: { toString: 2 } };
      await goesOn(one, line(JSON.stringify(hostile)) + rest.map(line).join(""));
    }
  });
});
