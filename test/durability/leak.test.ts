import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { carryOut, planOf, writeMerges } from "./merges.ts";

const MERGES = 500;
const WARM_UP = 150;
/** What the runtime's heap may swing by, whatever happens. */
const SWING = 24e6;

const root = mkdtempSync(join(tmpdir(), "sinter-leak-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Open files, and mapped files of models. */
function handles(): [number, number] {
  if (process.platform !== "linux") return [0, 0];
  const maps = readFileSync("/proc/self/maps", "utf8");
  return [readdirSync("/proc/self/fd").length, maps.split("\n").filter((line) => line.includes(root)).length];
}

function memory(): number {
  Bun.gc(true);
  return process.memoryUsage().rss;
}

test(`${MERGES} merges in one process leave no file open, nothing mapped, and memory flat`, async () => {
  const merges = writeMerges(root, { vocab: 301, layers: 1 });
  let [before, open] = [0, handles()];
  for (let i = 0; i < MERGES; i++) {
    if (i === WARM_UP) [before, open] = [memory(), handles()];
    const out = join(root, "out");
    await carryOut(planOf(merges[i % merges.length] as (typeof merges)[0]), out, { sync: false });
    rmSync(out, { recursive: true });
  }
  const grown = memory() - before;
  expect(handles()).toEqual(open);
  expect(open[1]).toBe(0);
  expect(grown).toBeLessThan(SWING);
}, 60_000);
