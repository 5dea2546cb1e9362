import { existsSync, lstatSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { SinterError } from "../errors.ts";
import { DTYPE_BYTES } from "../model/dtype.ts";
import { elementCount } from "../model/types.ts";
import type { Addon, NativeResult } from "../native.ts";
import type { MergeOp, MergePlan } from "../plan/types.ts";
import { onFile } from "./file-error.ts";
import { type FileState, fileState } from "./fingerprint.ts";
import { JOURNAL_NAME, Journal, type JournalContent, readJournal } from "./journal.ts";
import { changesSince, type JournalHeader, journalHeader, NO_HEADER } from "./journal-header.ts";
import { nativeProblem } from "./native-error.ts";
import { plannedNames } from "./output.ts";
import type { RunOptions } from "./types.ts";

/** The work of a run in its folder: what an earlier one left, and what this one adds. One process has it at a time. */
export interface Work {
  journal: Journal;
  header: JournalHeader;
  /** Of each input file, when the run began. */
  inputStates: ReadonlyMap<string, FileState>;
  beginning: Beginning;
  /** What an interrupted run said of ops whose bytes should be in the temporary files: to be checked. */
  done: ReadonlyMap<number, NativeResult>;
}

const NOT_WANTED = "--no-resume";

/** How a run began. */
export type Beginning =
  | { kind: "fresh" }
  /** The journal of an interrupted run of the same merge was there. */
  | { kind: "resumed"; tensors: number; bytes: number }
  /** Work of an interrupted run was there and is of no use; each reason in words. */
  | { kind: "restarted"; reasons: readonly string[] };

/**
 * Takes the folder for this process.
 * @returns what gives it back. @throws SinterError where another process is writing there.
 */
export function lockFolder(folder: string, addon: Addon): () => void {
  const path = join(folder, JOURNAL_NAME);
  try {
    const handle = addon.lock(path);
    return () => {
      // The lock made the file; where nothing was begun, nothing is left.
      if (statSync(path, { throwIfNoEntry: false })?.size === 0) rmSync(path, { force: true });
      addon.close(handle);
    };
  } catch (error) {
    throw new SinterError(nativeProblem(error, { path }));
  }
}

/**
 * Finds out what an interrupted run left in the folder, makes use of it or clears it away, and begins the journal.
 * @param leftovers temporary files in the folder: they are removed where there is nothing to go on from.
 * @throws SinterError where an input cannot be read, or a file not removed.
 */
export function beginWork(
  plan: MergePlan,
  folder: string,
  leftovers: readonly string[],
  options: Pick<RunOptions, "resume" | "sync" | "records">,
): Work {
  if (options.records === false) {
    for (const name of [...leftovers, ...stagedNames(plan)]) removeFile(join(folder, name));
    const nothing = { header: NO_HEADER, inputStates: new Map(), done: new Map() };
    return { journal: Journal.none(), beginning: { kind: "fresh" }, ...nothing };
  }
  const inputStates = new Map(plan.inputFiles.map(({ path }) => [path, fileState(path)]));
  const header = journalHeader(plan);
  const old = readJournal(folder);
  const resumes = options.resume === true || options.resume === "only";
  const reasons = old === undefined ? [] : resumes ? changesSince(old.header, header) : [NOT_WANTED];
  if (options.resume === "only") requireWork(old, reasons, folder);
  if (old === undefined || reasons.length > 0) {
    for (const name of [...leftovers, ...stagedNames(plan)]) removeFile(join(folder, name));
    const lost = old !== undefined && old.done.size > 0 && options.resume !== "never";
    const beginning: Beginning = lost ? { kind: "restarted", reasons } : { kind: "fresh" };
    const journal = Journal.create(folder, header, options.sync);
    return { journal, header, inputStates, beginning, done: new Map() };
  }
  if (old.finishing) takeBackNames(plan, folder);
  const done = usableEntries(plan, folder, old);
  const shards = keptShards(plan, done);
  const kept = new Set([...shards].map((shard) => `${plan.shards[shard]?.file}.tmp`));
  for (const name of [...leftovers, ...stagedNames(plan)]) if (!kept.has(name)) removeFile(join(folder, name));
  const bytes = [...done.keys()].reduce((sum, op) => sum + outputBytes(plan.ops[op] as MergeOp), 0);
  return {
    journal: Journal.append(folder, options.sync),
    header,
    inputStates,
    beginning: done.size > 0 ? { kind: "resumed", tensors: done.size, bytes } : { kind: "fresh" },
    done,
  };
}

/** @throws SinterError where there is nothing that this merge can go on from; the folder is as it was. */
function requireWork(old: JournalContent | undefined, reasons: readonly string[], folder: string): void {
  if (old !== undefined && reasons.length === 0) return;
  const message =
    old === undefined
      ? "there is no interrupted merge to resume in the output folder"
      : `the interrupted merge in the output folder is another: ${reasons.join("; ")}`;
  const hint = "without --resume the merge begins anew";
  throw new SinterError({ code: "nothing-to-resume", message, path: folder, hint });
}

function usableEntries(plan: MergePlan, folder: string, { done }: JournalContent): Map<number, NativeResult> {
  const isThere = plan.shards.map((_, shard) => isFile(stagedShard(plan, folder, shard)));
  const usable = new Map<number, NativeResult>();
  for (const [index, { bytes, result }] of done) {
    const op = plan.ops[index];
    if (op !== undefined && isThere[op.shard] && bytes === outputBytes(op)) usable.set(index, result);
  }
  return usable;
}

/** Shards of which an interrupted run left something. */
export function keptShards(plan: MergePlan, done: Work["done"]): Set<number> {
  return new Set([...done.keys()].map((op) => plan.ops[op]?.shard ?? -1));
}

/**
 * Gives shards that have got their final names their temporary ones again; what a model is opened by goes first. Then
 * the folder is as it was before any file got its name.
 */
export function takeBackNames(plan: MergePlan, folder: string): void {
  if (plan.index) removeFile(join(folder, plan.index.name));
  for (const [shard, { file }] of plan.shards.entries()) {
    const staged = stagedShard(plan, folder, shard);
    const final = join(folder, file);
    if (existsSync(staged) || !isFile(final)) continue;
    onFile("cannot take up the file of the interrupted merge", final, () => renameSync(final, staged));
  }
}

function stagedShard(plan: MergePlan, folder: string, shard: number): string {
  return `${join(folder, plan.shards[shard]?.file ?? "")}.tmp`;
}

/** Those in folders within the output are not among the leftovers that were found. */
function stagedNames(plan: MergePlan): string[] {
  return [...plannedNames(plan)].map((name) => `${name}.tmp`);
}

function isFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

export function outputBytes(op: MergeOp): number {
  return elementCount(op.shape) * DTYPE_BYTES[op.dtype];
}

export function removeFile(path: string): void {
  onFile("cannot remove the file", path, () => rmSync(path, { force: true }));
}
