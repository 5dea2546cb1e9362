/**
 * Merges many times in one process and prints, as JSON, by how much its memory grew and what stayed open. A program of its
 * own, so that nothing but merges moves the figures.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { carryOut, planOf, writeMerges } from "./merges.ts";

const [merges = 0, warmUp = 0] = process.argv.slice(2).map(Number);
const root = mkdtempSync(join(tmpdir(), "sinter-leak-"));

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

try {
  const recipes = writeMerges(root, { vocab: 301, layers: 1 });
  let [before, open] = [0, handles()];
  for (let i = 0; i < merges; i++) {
    if (i === warmUp) [before, open] = [memory(), handles()];
    const out = join(root, "out");
    await carryOut(planOf(recipes[i % recipes.length] as (typeof recipes)[0]), out, { sync: false });
    rmSync(out, { recursive: true });
  }
  console.log(JSON.stringify({ grown: memory() - before, open, after: handles() }));
} finally {
  rmSync(root, { recursive: true });
}
