/**
 * `bun run bench:transplant [missing] [shared] [width] [k]`: orthogonal matching pursuit as a tokenizer transplant runs
 * it, by default of 500 missing tokens against 32,000 shared ones at width 896 with k = 64. Prints the rate of its matrix
 * products against what multiply-adds in registers reach on as many threads, and what everything else takes.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BLOCK, fillNormal, streamKey } from "../scripts/family/noise.ts";
import { native } from "../src/native.ts";

const [missing = 500, shared = 32_000, width = 896, k = 64] = process.argv.slice(2).map(Number);
const rows = shared + missing;
/**
 * Float32 operations a second in registers: the most that one thread reaches, times the threads. What other programs
 * take from the machine is to count as little here as in CPU time.
 */
function measurePeak(threads: number): number {
  const addon = native();
  addon.configure({ threads: 1 });
  const rates = Array.from({ length: 30 }, () => addon.peakRate());
  addon.configure({ threads });
  return threads * Math.max(...rates);
}

const dir = mkdtempSync(join(tmpdir(), "sinter-transplant-"));
try {
  const addon = native();
  const matrices = ["original", "donor"].map((name) => {
    const values = new Uint16Array(rows * width);
    for (let start = 0; start < values.length; start += BLOCK) {
      fillNormal(values.subarray(start, start + BLOCK), streamKey(name), start, 0, 0.02);
    }
    return values;
  });
  const files = matrices.map((_, i) => join(dir, `${i}`));
  await Promise.all(files.map((file, i) => Bun.write(file, matrices[i] as Uint16Array<ArrayBuffer>)));
  const [original, donor] = files.map((file) => {
    return { source: addon.openSource(file).handle, offset: 0, dtype: "BF16", rows, width } as const;
  });
  if (original === undefined || donor === undefined) throw new Error("no matrices");
  const sink = addon.createSink(join(dir, "out"), missing * width * 2);
  const { threads, target } = addon.info();
  const peak = measurePeak(threads);
  const all = Uint32Array.from({ length: shared }, (_, i) => i);
  const start = performance.now();
  const before = process.cpuUsage();
  const { productSeconds, multiplyAdds } = await addon.transplant({
    method: "omp",
    original,
    donor,
    sharedOriginal: all,
    sharedDonor: all,
    targets: Uint32Array.from({ length: missing }, (_, i) => shared + i),
    k,
    cosine: false,
    weightScheme: "distance_proportional",
    batch: 512,
    noise: 0,
    scale: 1,
    seed: 0,
    tensor: "w",
    sink,
    offset: 0,
  });
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  const cpu = (user + system) / 1e6;
  const rate = (2 * multiplyAdds * threads) / productSeconds;
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  const gigaflops = (value: number) => `${(value / 1e9).toFixed(0)} Gflop/s`;
  console.log(`omp, k = ${k}: ${missing} tokens against ${shared} at width ${width}, ${threads} threads, ${target}`);
  console.log(`wall clock       ${seconds.toFixed(2)} s`);
  console.log(`CPU time         ${cpu.toFixed(2)} s`);
  console.log(
    `  products       ${productSeconds.toFixed(2)} s: ${gigaflops(rate)}, ${percent(rate / peak)} of ${gigaflops(peak)} in registers`,
  );
  console.log(`  the rest       ${(cpu - productSeconds).toFixed(2)} s: ${percent((cpu - productSeconds) / cpu)}`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
