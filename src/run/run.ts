import { mkdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Problem, Report } from "../errors.ts";
import type { Addon, NativeResult } from "../native.ts";
import type { MergePlan } from "../plan/types.ts";
import { computeShards } from "./compute.ts";
import { onFile } from "./file-error.ts";
import { finishSteps, performStep } from "./finish.ts";
import { MANIFEST_NAME, manifestText } from "./manifest.ts";
import { nonFiniteWarnings } from "./non-finite.ts";
import { bytesToWrite, inspectOutput, type OutputFolder, plannedNames } from "./output.ts";
import { checkSources } from "./sources.ts";
import { stageFile, syncStaged } from "./stage.ts";
import type { RunEvents, RunOptions, RunResult } from "./types.ts";

/**
 * Carries out a plan: writes the merged model into the folder `out`.
 *
 * Either the whole model is there when this returns, or nothing of it is there when this throws: everything is written
 * under temporary names, which are turned into final ones by `finishSteps` once all of it is on the disk.
 * @throws SinterError naming tensor, model and file; for a folder that cannot take the output before anything is written.
 */
export async function runPlan(
  plan: MergePlan,
  out: string,
  options: RunOptions,
  addon: Addon,
  events: RunEvents,
): Promise<RunResult> {
  const start = performance.now();
  const report = new Report();
  checkSources(plan, report);
  const folder = inspectOutput(plan, out, options.force, report);
  report.throwIfErrors();

  const created = createFolders(plan, folder);
  let results: NativeResult[];
  try {
    for (const name of folder.leftovers) removeFile(join(folder.path, name));
    results = await writeStaged(plan, folder.path, options, addon, events);
    // A file that shrank within its last page gave zeros and no fault.
    checkSources(plan, report);
    report.throwIfErrors();
    for (const step of finishSteps(plan, folder)) performStep(step, folder.path, options.sync);
  } catch (error) {
    discard(plan, folder, created);
    throw error;
  }
  return {
    folder: folder.path,
    seconds: (performance.now() - start) / 1000,
    bytesRead: plan.totals.bytesRead,
    bytesWritten: bytesToWrite(plan),
    warnings: [...(options.nan === "warn" ? nonFiniteWarnings(plan, results) : []), ...leftoverWarnings(plan, folder)],
    checksums: new Map(plan.ops.map((op, i) => [op.tensor, results[i]?.checksum ?? ""])),
  };
}

/** Writes every file of the output under its temporary name and waits for the disk to have it. */
async function writeStaged(
  plan: MergePlan,
  folder: string,
  options: RunOptions,
  addon: Addon,
  events: RunEvents,
): Promise<NativeResult[]> {
  for (const side of plan.sideFiles) stageFile(side, folder);
  const sync = (names: readonly string[]) => (options.sync ? syncStaged(names, folder) : Promise.resolve());
  // The disk stores the side files while the tensors are computed. The rejection is kept for the await below.
  const sidesSynced = sync(plan.sideFiles.map((side) => side.name)).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  const results = await computeShards(plan, folder, options, addon, events).finally(() => sidesSynced);
  const failed = await sidesSynced;
  if (failed) throw failed.error;

  const checksums = results.map((result) => result.checksum);
  const closing = [{ name: MANIFEST_NAME, text: manifestText(plan, checksums) }, ...(plan.index ? [plan.index] : [])];
  for (const file of closing) stageFile(file, folder);
  await sync(closing.map((file) => file.name));
  options.signal?.throwIfAborted();
  return results;
}

/** Makes the output folder and those within it that files of the plan lie in. @returns what was made, innermost first. */
function createFolders(plan: MergePlan, folder: OutputFolder): string[] {
  const within = [...plannedNames(plan)].map((name) => join(folder.path, dirname(name)));
  return [folder.path, ...new Set(within)].flatMap(createFolder).toSorted((a, b) => b.length - a.length);
}

function createFolder(path: string): string[] {
  const first = onFile("cannot create the output folder", path, () => mkdirSync(path, { recursive: true }));
  if (first === undefined) return [];
  const created: string[] = [];
  for (let one = path; one.length >= first.length; one = dirname(one)) created.push(one);
  return created;
}

function removeFile(path: string): void {
  onFile("cannot remove the file", path, () => rmSync(path, { force: true }));
}

/**
 * Takes back what a failed run wrote: temporary files, files that were not there before, and folders that it made.
 * What already replaced a file of an older model stays; without an entry file, which goes first, it is no model.
 */
function discard(plan: MergePlan, folder: OutputFolder, created: readonly string[]): void {
  const before = new Set(folder.entries);
  try {
    for (const name of plannedNames(plan)) {
      removeFile(join(folder.path, `${name}.tmp`));
      if (!before.has(name)) removeFile(join(folder.path, name));
    }
    for (const path of created) rmdirSync(path);
  } catch {
    // The failure that led here is the one to report; a file left behind has a temporary name or no model around it.
  }
}

const TOKENIZER_FILE =
  /^(tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab\..*|merges\.txt|chat_template\..*)$/;

/** Tokenizer files of the model that was replaced are read along with the new ones: the user should know. */
function leftoverWarnings(plan: MergePlan, folder: OutputFolder): Problem[] {
  const planned = plannedNames(plan);
  const left = folder.entries.filter((name) => TOKENIZER_FILE.test(name) && !planned.has(name));
  if (left.length === 0) return [];
  const message = `the output folder keeps files that are not from this merge: ${left.join(", ")}`;
  return [{ code: "files-kept", message, path: folder.path, hint: "remove them if they belong to the model before" }];
}
