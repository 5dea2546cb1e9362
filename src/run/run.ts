import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Problem, Report, SinterError } from "../errors.ts";
import type { Addon } from "../native.ts";
import type { MergePlan } from "../plan/types.ts";
import { computeShards } from "./compute.ts";
import { computedOn, directBytes, type OpResult, returnedWarnings, unfitWarnings } from "./computed-on.ts";
import { fileProblem, onFile } from "./file-error.ts";
import { finishSteps, performStep } from "./finish.ts";
import { JOURNAL_NAME, type Journal } from "./journal.ts";
import { changedInputs, touchedInputs } from "./journal-header.ts";
import { MANIFEST_NAME, manifestText } from "./manifest.ts";
import { nonFiniteWarnings } from "./non-finite.ts";
import { bytesToWrite, inspectOutput, type OutputFolder, plannedNames } from "./output.ts";
import { checkSources } from "./sources.ts";
import { stageFile, syncStaged } from "./stage.ts";
import type { RunEvents, RunOptions, RunResult } from "./types.ts";
import { beginWork, lockFolder, removeFile, takeBackNames, type Work } from "./unfinished.ts";

/**
 * Carries out a plan: writes the merged model into the folder `out`.
 *
 * Everything is written under temporary names, which are turned into final ones by `finishSteps` once all of it is on the
 * disk. So either the whole model is there when this returns, or none when this throws: then temporary files and the
 * journal may be there, from which the next run of the same plan goes on.
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
  const found = inspectOutput(plan, out, options.force, report);
  report.throwIfErrors();

  const created = createFolders(plan, found);
  let unlock = () => {};
  try {
    unlock = lockFolder(found.path, addon);
    // Until the lock was there, another process may have written here.
    const folder = inspectOutput(plan, out, options.force, report);
    report.throwIfErrors();
    const { results, journal, touched } = await writeAll(plan, folder, options, addon, events);
    return {
      folder: folder.path,
      seconds: (performance.now() - start) / 1000,
      bytesRead: plan.totals.bytesRead,
      bytesWritten: bytesToWrite(plan),
      warnings: [
        ...(options.nan === "warn" ? nonFiniteWarnings(plan, results) : []),
        ...touched,
        ...(options.devices?.warnings ?? []),
        ...returnedWarnings(results),
        ...unfitWarnings(results),
        ...leftoverWarnings(plan, folder),
        ...journalWarnings(journal, folder.path),
      ],
      computedOn: computedOn(results),
      directBytes: directBytes(results),
      checksums: new Map(plan.ops.map((op, i) => [op.tensor, results[i]?.checksum ?? ""])),
    };
  } finally {
    unlock();
    removeEmpty(created);
  }
}

/** From the empty folder, or what an interrupted run left there, to the model. */
async function writeAll(
  plan: MergePlan,
  folder: OutputFolder,
  options: RunOptions,
  addon: Addon,
  events: RunEvents,
): Promise<{ results: OpResult[]; journal: Journal; touched: Problem[] }> {
  let work: Work | undefined;
  try {
    work = beginWork(plan, folder.path, folder.leftovers, options);
    events.begun?.(work.beginning);
    const results = await writeStaged(plan, folder.path, work, options, addon, events);
    checkUnchanged(work);
    checkStaged(plan, folder.path);
    const touched = touchedInputs(work.header, work.inputStates);
    await work.journal.finish();
    for (const step of finishSteps(plan, folder)) performStep(step, folder.path, options.sync);
    await work.journal.close();
    removeFile(join(folder.path, JOURNAL_NAME));
    return { results, journal: work.journal, touched };
  } catch (error) {
    await work?.journal.close();
    throw takeBack(plan, folder, work, options, error);
  }
}

/** Writes every file of the output under its temporary name and waits for the disk to have it. */
async function writeStaged(
  plan: MergePlan,
  folder: string,
  work: Work,
  options: RunOptions,
  addon: Addon,
  events: RunEvents,
): Promise<OpResult[]> {
  const files = new Map(plan.sideFiles.map((side) => [side.name, stageFile(side, folder)]));
  const sync = (names: readonly string[]) => (options.sync ? syncStaged(names, folder) : Promise.resolve());
  // The disk stores the side files while the tensors are computed. The rejection is kept for the await below.
  const sidesSynced = sync(plan.sideFiles.map((side) => side.name)).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  const results = await computeShards(plan, folder, work, options, addon, events).finally(() => sidesSynced);
  const failed = await sidesSynced;
  if (failed) throw failed.error;

  if (plan.index !== undefined) files.set(plan.index.name, stageFile(plan.index, folder));
  const manifest = options.records === false ? "" : manifestText(plan, results, files);
  stageFile({ name: MANIFEST_NAME, text: manifest }, folder);
  await sync([MANIFEST_NAME, ...(plan.index ? [plan.index.name] : [])]);
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

/**
 * Leaves of a failed run what the next one can go on from: shards under their temporary names and the journal. Where
 * there is nothing to go on from, nothing of the run is left. What already replaced a file of an older model stays;
 * without an entry file, which goes first, it is no model.
 * @param work undefined where nothing was begun: then nothing is touched.
 * @returns the error to report: `error`, and where work was kept, how to go on.
 */
function takeBack(
  plan: MergePlan,
  folder: OutputFolder,
  work: Work | undefined,
  { resume }: RunOptions,
  error: unknown,
): unknown {
  if (work === undefined) return error;
  const before = new Set(folder.entries);
  const shards = new Set(plan.shards.map(({ file }) => file));
  const useful = resume !== "never" && isUseful(plan, folder, work, error);
  try {
    if (useful && work.journal.finishing) takeBackNames(plan, folder.path);
    for (const name of plannedNames(plan)) {
      if (!useful || !shards.has(name)) removeFile(join(folder.path, `${name}.tmp`));
      if (!before.has(name)) removeFile(join(folder.path, name));
    }
    if (!useful) removeFile(join(folder.path, JOURNAL_NAME));
  } catch {
    // The failure that led here is the one to report; a file left behind has a temporary name or no model around it.
  }
  if (!useful || !(error instanceof SinterError)) return error;
  const kept = `what is done is kept in ${folder.path}: the same command goes on from there`;
  const problems = error.problems.map((problem, i) =>
    i > 0 ? problem : { ...problem, hint: problem.hint === undefined ? kept : `${problem.hint}\n  → ${kept}` },
  );
  return new SinterError(problems, error.exitCode);
}

/** Whether the next run will be able to go on from what there is. */
function isUseful(plan: MergePlan, folder: OutputFolder, work: Work, error: unknown): boolean {
  if (work.journal.ops + work.done.size === 0) return false;
  const { finishing } = work.journal;
  const isThere = (file: string) =>
    existsSync(join(folder.path, `${file}.tmp`)) || (finishing && existsSync(join(folder.path, file)));
  if (!plan.shards.some(({ file }) => isThere(file))) return false;
  const lost = error instanceof SinterError && error.problems.some(({ code }) => code === "shard-replaced");
  // An input that cannot be read now may be back the next time.
  return !lost && !changedInputs(work.header, work.inputStates).some(({ code }) => code === "source-changed");
}

/** @throws SinterError where an input is not the file that it was when the run began. */
function checkUnchanged({ header, inputStates }: Work): void {
  const changed = changedInputs(header, inputStates);
  if (changed.length > 0) throw new SinterError(changed);
}

/** @throws SinterError where a temporary file is gone: an older model in the folder stays as it is, then. */
function checkStaged(plan: MergePlan, folder: string): void {
  const gone = [...plannedNames(plan)].map((name) => join(folder, `${name}.tmp`)).find((path) => !existsSync(path));
  if (gone === undefined) return;
  const message = "a temporary file was removed while the merge ran";
  throw new SinterError({
    code: "file-failed",
    message,
    path: gone,
    hint: "leave the output folder alone until it is done",
  });
}

/** Takes away the folders that were made, as far as nothing is in them. */
function removeEmpty(created: readonly string[]): void {
  for (const path of created) {
    try {
      rmdirSync(path);
    } catch {
      return;
    }
  }
}

function journalWarnings({ failure }: Journal, folder: string): Problem[] {
  if (failure === undefined) return [];
  const problem = fileProblem("the merge could not note what was done", join(folder, JOURNAL_NAME), failure);
  return [{ ...problem, hint: "the model is whole; had it been interrupted, the work would have been lost" }];
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
