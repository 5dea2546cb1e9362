/**
 * `bun run bench:durability [PAIRS]`: what journal, checksums and manifest together cost a warm merge. Merges of 0.5B models
 * with and without them, by turns and in one process, in memory (/dev/shm) where that has room: there they weigh most.
 * See docs/performance.md.
 */
import { mkdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { QWEN2_05B } from "../scripts/family/shape.ts";
import { writeFamily } from "../scripts/family/write.ts";
import { ROOT } from "../scripts/paths.ts";
import { plan } from "../src/index.ts";
import { native } from "../src/native.ts";
import type { MergePlan } from "../src/plan/types.ts";
import { runPlan } from "../src/run/run.ts";
import { median } from "./process.ts";

const PAIRS = Number(process.argv[2] ?? 9);
if (!Number.isInteger(PAIRS) || PAIRS < 1) throw new Error("usage: bun run bench:durability [PAIRS]");
/** Three models and an output, with some room. */
const NEEDED_BYTES = 6e9;
const SHARED_MEMORY = "/dev/shm";

const hasRoom = () => {
  const { bavail, bsize } = statfsSync(SHARED_MEMORY);
  return bavail * bsize > NEEDED_BYTES;
};
const dir = join(hasRoom() ? SHARED_MEMORY : ROOT, ".bench-durability");

interface Cost {
  /** Wall clock, and CPU time of all threads. */
  seconds: number;
  cpu: number;
}

async function mergeCost(made: MergePlan, records: boolean): Promise<Cost> {
  const out = join(dir, "merged");
  rmSync(out, { recursive: true, force: true });
  const addon = native();
  addon.configure({ checksums: records });
  const begin = performance.now();
  const cpuBegin = process.cpuUsage();
  const options = { force: false, nan: "warn", sync: true, resume: true, records } as const;
  await runPlan(made, out, options, addon, { progress: () => {} });
  const { user, system } = process.cpuUsage(cpuBegin);
  return { seconds: (performance.now() - begin) / 1000, cpu: (user + system) / 1e6 };
}

async function measure(name: string, made: MergePlan): Promise<void> {
  for (const records of [true, false]) await mergeCost(made, records);
  const pairs: { kept: Cost; bare: Cost }[] = [];
  for (let pair = 0; pair < PAIRS; pair++) {
    // Each comes first as often as the other.
    const first = await mergeCost(made, pair % 2 === 0);
    const second = await mergeCost(made, pair % 2 === 1);
    pairs.push(pair % 2 === 0 ? { kept: first, bare: second } : { kept: second, bare: first });
  }
  const shown = (what: keyof Cost) => {
    const [kept, bare] = (["kept", "bare"] as const).map((side) => median(pairs.map((pair) => pair[side][what])));
    const ratio = median(pairs.map((pair) => pair.kept[what] / pair.bare[what]));
    return `${kept?.toFixed(3)} s with, ${bare?.toFixed(3)} s without: ${((ratio - 1) * 100).toFixed(1)} %`;
  };
  console.log(`${name}, medians of ${PAIRS} pairs: ${shown("seconds")}; CPU time ${shown("cpu")}`);
}

mkdirSync(dir, { recursive: true });
try {
  const tunes = ["a", "b"].map((name) => ({ name, noise: 3e-4 }));
  writeFamily(dir, { shape: QWEN2_05B, models: [{ name: "base", noise: 0 }, ...tunes], shardBytes: 5e9 });
  const [base, a, b] = ["base", "a", "b"].map((name) => join(dir, name));
  const model = (path: string | undefined, parameters: object) => ({ model: path, parameters });
  const linear = [model(a, { weight: 0.5 }), model(b, { weight: 0.5 })];
  await measure("linear", await plan({ merge_method: "linear", models: linear, dtype: "bfloat16" }));
  const ties = linear.map(({ model: path }) => model(path, { weight: 0.5, density: 0.5 }));
  await measure("ties", await plan({ merge_method: "ties", base_model: base, models: ties, dtype: "bfloat16" }));
} finally {
  rmSync(dir, { recursive: true, force: true });
}
