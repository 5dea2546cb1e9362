import { closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { SinterError } from "../errors.ts";
import type { MergePlan } from "../plan/types.ts";
import { fileProblem, onFile } from "./file-error.ts";
import { MANIFEST_NAME } from "./manifest.ts";
import { ADAPTER_FILE, INDEX_NAMES, type OutputFolder, plannedNames, WEIGHT_FILE } from "./output.ts";

/** One change to the output folder. A crash between any two of them leaves no folder that looks whole and is not. */
export type FinishStep =
  /** Gives a complete, synced `<file>.tmp` its name. */
  | { kind: "publish"; file: string }
  | { kind: "remove"; file: string }
  /** Waits until the disk has the renames and removals so far, in the output folder or in one within it. */
  | { kind: "sync"; folder?: string };

/** What readers open a model by: without these, the numbered shards of an older model are not one. */
const ENTRY_NAMES: readonly string[] = [...INDEX_NAMES, "model.safetensors", "pytorch_model.bin"];

/**
 * What is done once every byte is in a temporary file on the disk, in order: what made an older model whole goes,
 * side files get their names, then shards, the index last (a single shard is last itself), then stale shards go.
 */
export function finishSteps(plan: MergePlan, folder: OutputFolder): FinishStep[] {
  const steps: FinishStep[] = [];
  const present = new Set(folder.entries);
  const isAdapter = plan.shards.some(({ file }) => ADAPTER_FILE.test(file));
  const entries = isAdapter ? folder.entries.filter((name) => ADAPTER_FILE.test(name)) : ENTRY_NAMES;
  const retired = entries.filter((name) => present.has(name));
  for (const file of retired) steps.push({ kind: "remove", file });
  if (retired.length > 0) steps.push({ kind: "sync" });

  // A model is opened by what lies in the output folder itself: that comes after the folders within it.
  const depth = (file: string) => file.split("/").length;
  const shards = plan.shards.map((shard) => shard.file).toSorted((a, b) => depth(b) - depth(a));
  const names = [...plan.sideFiles.map((side) => side.name), MANIFEST_NAME, ...shards];
  if (plan.index) names.push(plan.index.name);
  const last = names.pop();
  for (const file of names) steps.push({ kind: "publish", file });
  const within = new Set(names.map((name) => dirname(name)).filter((folder) => folder !== "."));
  for (const name of within) steps.push({ kind: "sync", folder: name });
  steps.push({ kind: "sync" });
  if (last !== undefined) steps.push({ kind: "publish", file: last }, { kind: "sync" });

  const planned = plannedNames(plan);
  // Written into a model's folder, an adapter lies beside the model.
  const weights = isAdapter ? ADAPTER_FILE : WEIGHT_FILE;
  const stale = folder.entries.filter((name) => weights.test(name) && !planned.has(name) && !retired.includes(name));
  for (const file of stale) steps.push({ kind: "remove", file });
  if (stale.length > 0) steps.push({ kind: "sync" });
  return steps;
}

/** Carries out one step. @param sync whether `sync` steps wait for the disk. @throws SinterError naming the file. */
export function performStep(step: FinishStep, folder: string, sync: boolean): void {
  if (step.kind === "sync") {
    if (sync) syncFolder(join(folder, step.folder ?? "."));
    return;
  }
  const path = join(folder, step.file);
  if (step.kind === "remove") onFile("cannot remove the older file", path, () => rmSync(path, { force: true }));
  else onFile("cannot give the finished file its name", path, () => renameSync(`${path}.tmp`, path));
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } catch (error) {
    // Some network and user-space file systems cannot sync a folder; their renames are as durable as they can be.
    if (!["EINVAL", "ENOTSUP", "EBADF"].includes((error as NodeJS.ErrnoException).code ?? "")) {
      throw new SinterError(fileProblem("the disk failed to store the folder", folder, error));
    }
  } finally {
    closeSync(fd);
  }
}
