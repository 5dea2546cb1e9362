import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../scripts/paths.ts";
import type { BenchCase } from "./cases.ts";
import { measureProcess, median, timeCommand } from "./process.ts";

/** `synced`: until the disk has every byte, against `dd conv=fsync`. `unsynced`: into the page cache, against plain dd. */
export type DiskMode = "synced" | "unsynced";

/** Medians over the repetitions; `ratio` is the median of the ratios of each merge to the floor beside it. */
export interface MergeRow {
  name: string;
  noise: number;
  mode: DiskMode;
  seconds: number;
  /** The same for the floor: `cat` of the inputs, then `dd` of as many bytes as the output has. */
  floorSeconds: number;
  ratio: number;
  target: number;
  bytesRead: number;
  bytesWritten: number;
  gigabytesPerSecond: number;
  peakAnonymous: number;
  /** Every measured pair, in order: seconds of the merge and of the floor. */
  pairs: readonly (readonly [number, number])[];
}

const CLI = join(ROOT, "bin", "sinter");

/** The command line of `sinter`, on the Bun that runs this. */
export function sinter(...args: string[]): string[] {
  return ["env", `SINTER_BUN=${process.execPath}`, CLI, ...args];
}

/**
 * Measures a merge end to end, in pairs with the floor, with a warm page cache and `sync` before every measurement.
 * Nothing that it writes stays.
 * @param dir a folder on the disk to measure.
 */
export async function measureMerge(bench: BenchCase, dir: string, repetitions: number): Promise<MergeRow[]> {
  const files = bench.inputs.flatMap(weightFiles);
  const bytesRead = sizes(files);
  timeCommand(readAll(files));
  const rows = { synced: [] as Pair[], unsynced: [] as Pair[] };
  let bytesWritten = 0;
  for (let repetition = 0; repetition <= repetitions; repetition++) {
    for (const mode of ["synced", "unsynced"] as const) {
      const merge = await timeMerge(bench, dir, mode);
      bytesWritten = merge.bytesWritten;
      const floor = timeFloor(files, bytesWritten, join(dir, "floor"), mode);
      // The first round only warms up.
      if (repetition > 0) rows[mode].push({ ...merge, floor });
    }
  }
  return (["synced", "unsynced"] as const).map((mode) => {
    const pairs = rows[mode];
    const seconds = median(pairs.map((pair) => pair.seconds));
    return {
      name: bench.name,
      noise: bench.noise,
      mode,
      seconds,
      floorSeconds: median(pairs.map((pair) => pair.floor)),
      ratio: median(pairs.map((pair) => pair.seconds / pair.floor)),
      target: bench.target,
      bytesRead,
      bytesWritten,
      gigabytesPerSecond: (bytesRead + bytesWritten) / seconds / 1e9,
      peakAnonymous: Math.max(...pairs.map((pair) => pair.peakAnonymous)),
      pairs: pairs.map((pair) => [pair.seconds, pair.floor]),
    };
  });
}

interface Pair {
  seconds: number;
  peakAnonymous: number;
  floor: number;
}

/** One merge as a process of its own, its output deleted afterwards. */
export async function timeMerge(bench: BenchCase, dir: string, mode: DiskMode) {
  const out = join(dir, "merged");
  rmSync(out, { recursive: true, force: true });
  timeCommand(["sync"]);
  const disk = mode === "synced" ? [] : ["--no-sync"];
  const { seconds, peakAnonymous } = await measureProcess(
    sinter(bench.command ?? "merge", bench.config, out, "--quiet", ...disk),
    dir,
  );
  const bytesWritten = sizes(weightFiles(out));
  rmSync(out, { recursive: true, force: true });
  return { seconds, peakAnonymous, bytesWritten };
}

function timeFloor(inputs: readonly string[], bytes: number, file: string, mode: DiskMode): number {
  rmSync(file, { force: true });
  timeCommand(["sync"]);
  const sync = mode === "synced" ? ["conv=fsync"] : [];
  const write = ["dd", "if=/dev/zero", `of=${file}`, "bs=16M", `count=${bytes}`, "iflag=count_bytes", ...sync];
  const seconds = timeCommand(readAll(inputs)) + timeCommand(write);
  rmSync(file);
  return seconds;
}

function readAll(files: readonly string[]): string[] {
  return ["sh", "-c", 'cat "$@" > /dev/null', "sh", ...files];
}

export function weightFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".safetensors"))
    .map((name) => join(folder, name));
}

function sizes(files: readonly string[]): number {
  return files.reduce((sum, file) => sum + statSync(file).size, 0);
}
