import { mkdirSync, mkdtempSync, realpathSync, rmdirSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Report } from "../errors.ts";
import type { MergePlan } from "../plan/types.ts";
import { onFile } from "../run/file-error.ts";
import { inspectOutput } from "../run/output.ts";

/** A folder of this run alone: outputs go there and are removed with it. */
export interface Scratch {
  path: string;
  /** Whether its files lie in memory: their times are not those of a disk. */
  inMemory: boolean;
}

/** `f_type` of tmpfs and ramfs (statfs(2)). */
const MEMORY_FILE_SYSTEMS: readonly number[] = [0x01021994, 0x858458f6];

/**
 * Runs `body` with a fresh folder, which is gone afterwards, however `body` ends.
 * @param parent where it is made; undefined: in the folder for temporary files.
 * @param plans what will be written there, one at a time.
 * @throws SinterError before anything is written where the disk is too small for one of them, or an input is in the way.
 */
export async function withScratch<T>(
  parent: string | undefined,
  plans: readonly MergePlan[],
  body: (scratch: Scratch) => Promise<T>,
): Promise<T> {
  const place = resolve(parent ?? tmpdir());
  checkRoom(place, plans);
  const made = onFile("cannot create the folder", place, () => mkdirSync(place, { recursive: true }));
  const path = onFile("cannot create a folder in", place, () =>
    realpathSync(mkdtempSync(join(place, "sinter-bench-"))),
  );
  try {
    return await body({ path, inMemory: MEMORY_FILE_SYSTEMS.includes(statfsSync(path).type) });
  } finally {
    rmSync(path, { recursive: true, force: true });
    if (made !== undefined) removeMade(place, made);
  }
}

function checkRoom(place: string, plans: readonly MergePlan[]): void {
  const largest = plans.toSorted((a, b) => b.totals.bytesWritten - a.totals.bytesWritten)[0];
  if (largest === undefined) return;
  const report = new Report();
  inspectOutput(largest, join(place, "sinter-bench"), true, report);
  report.throwIfErrors();
}

/** The folders that had to be made, if nothing else came into them meanwhile. */
function removeMade(place: string, first: string): void {
  try {
    for (let path = place; path.length >= first.length; path = dirname(path)) rmdirSync(path);
  } catch {
    // Not empty: what is there is not ours.
  }
}
