import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Report } from "../errors.ts";
import { openRawModel } from "../model/raw.ts";
import type { Model, TensorView } from "../model/types.ts";
import type { Addon } from "../native.ts";
import { someOf } from "../plan/copies.ts";
import { planHash } from "../plan/hash.ts";
import type { MergeOp, MergePlan } from "../plan/types.ts";
import { computeChecksums } from "./checksums.ts";
import type { Manifest } from "./manifest.ts";
import type { RunEvents } from "./types.ts";
import { changed, PROSE } from "./written-files.ts";

/** What stands in a folder: its tensors by their names in the manifest, and the files that they lie in. */
export interface StoredModel {
  model: Model;
  tensors: ReadonlyMap<string, TensorView>;
}

/**
 * Opens the weights of a merged model, those in folders within it included. Headers and indexes are checked on the way.
 * @returns undefined where they cannot be read: then the report has an error.
 */
export function openStored(folder: string, manifest: Manifest, report: Report): StoredModel | undefined {
  const model = open(folder, report);
  if (model === undefined) return undefined;
  const tensors = new Map(model.tensors);
  const files = [...model.weightFiles];
  for (const within of innerFolders(folder, manifest)) {
    const inner = open(join(folder, within), report);
    if (inner === undefined) return undefined;
    for (const [name, view] of inner.tensors) tensors.set(`${within}/${name}`, view);
    files.push(...inner.weightFiles);
  }
  return { model: { ...model, weightFiles: files }, tensors };
}

function open(folder: string, report: Report): Model | undefined {
  return openRawModel({ ref: { model: { path: folder } } }, { cacheDir: undefined }, report);
}

/** Folders of the output that hold tensors of their own. */
function innerFolders(folder: string, { tensors }: Manifest): Set<string> {
  const names = [...tensors.keys()].flatMap((name) => (name.includes("/") ? [name.slice(0, name.indexOf("/"))] : []));
  const isFolder = (name: string) => statSync(join(folder, name), { throwIfNoEntry: false })?.isDirectory() === true;
  return new Set(names.filter((name) => name !== ".." && name !== "." && isFolder(name)));
}

/** Reports tensors that are missing, too many, or of another dtype or shape than the manifest says. */
export function checkTensors({ tensors }: StoredModel, manifest: Manifest, report: Report): void {
  const missing = [...manifest.tensors.keys()].filter((name) => !tensors.has(name));
  const surplus = [...tensors.keys()].filter((name) => !manifest.tensors.has(name));
  if (missing.length > 0) report.error({ code: "tensor-missing", message: `tensors are missing: ${someOf(missing)}` });
  if (surplus.length > 0) {
    report.error({ code: "tensor-unknown", message: `tensors that the merge did not write: ${someOf(surplus)}` });
  }
  for (const [tensor, { dtype, shape }] of manifest.tensors) {
    const stored = tensors.get(tensor);
    if (stored === undefined || (stored.dtype === dtype && String(stored.shape) === String(shape))) continue;
    const message = `stored as ${stored.dtype} [${stored.shape}], and written as ${dtype} [${shape}]`;
    report.error({ code: "tensor-changed", message, tensor });
  }
}

/**
 * Reads every byte of the tensors and holds their checksums against the manifest's.
 * @returns names of tensors that hold a NaN or an infinity.
 * @throws SinterError where a file cannot be read.
 */
export async function checkBytes(
  stored: StoredModel,
  manifest: Manifest,
  tools: { addon: Addon; signal: AbortSignal; events: RunEvents },
  report: Report,
): Promise<string[]> {
  const known = [...stored.tensors].filter(([name]) => manifest.tensors.has(name));
  const ops = known.map(([tensor, view]): MergeOp => {
    const input = { view, model: stored.model.name, tensor, position: 0 };
    const { dtype, shape } = view;
    return { tensor, dtype, shape, shard: 0, offset: 0, kernel: "copy", inputs: [input], params: [] };
  });
  const results = await computeChecksums(readingPlan(stored, ops), tools.addon, tools.signal, tools.events);
  const changed = ops.filter((op, i) => results[i]?.checksum !== manifest.tensors.get(op.tensor)?.checksum);
  for (const { tensor } of changed) {
    report.error({ code: "bytes-changed", message: "the bytes are not those that the merge wrote", tensor });
  }
  return ops.flatMap(({ tensor }, i) => (results[i]?.nonFinite[0] === true ? [tensor] : []));
}

/** Ops that read the stored tensors. Nothing of it is written. */
function readingPlan({ model }: StoredModel, ops: readonly MergeOp[]): MergePlan {
  return {
    method: "copy",
    seed: 0,
    models: [model.name],
    baseModel: undefined,
    inputFiles: model.weightFiles,
    ops,
    shards: [],
    index: undefined,
    sideFiles: [],
    totals: { tensors: ops.length, parameters: 0, bytesRead: 0, bytesWritten: 0 },
    tied: [],
    warnings: [],
  };
}

/**
 * Holds a plan that was made again from the recipe against the folder: hash, files and the other files' contents.
 * @param told files that are known to have changed.
 */
export function checkPlan(
  plan: MergePlan,
  folder: string,
  manifest: Manifest,
  told: ReadonlySet<string>,
  report: Report,
): void {
  const hash = planHash(plan);
  if (hash !== manifest.plan) {
    report.error({
      code: "plan-changed",
      message: `the recipe gives another plan now: ${hash}, and the folder was written by ${manifest.plan}`,
      hint: "an input has other tensors or another size, or the recipe in the manifest was changed",
    });
    return;
  }
  for (const { file, size } of plan.shards) {
    const stored = statSync(join(folder, file), { throwIfNoEntry: false })?.size;
    if (stored !== size && !told.has(file))
      report.error(changed(file, stored === undefined ? "is missing" : "has another size"));
  }
  for (const file of plan.sideFiles) {
    if (PROSE.has(file.name) || told.has(file.name)) continue;
    const path = join(folder, file.name);
    if (!existsSync(path)) report.error(changed(file.name, "is missing"));
    else if (!sameContent(path, file)) report.error(changed(file.name, "is not what the recipe gives"));
  }
}

function sameContent(path: string, file: { text: string } | { from: string }): boolean {
  const wanted = "text" in file ? Buffer.from(file.text) : existsSync(file.from) ? readFileSync(file.from) : undefined;
  return wanted === undefined || wanted.equals(readFileSync(path));
}

/**
 * Computes again what the plan says, without writing it, and holds the checksums against the manifest's.
 * @throws SinterError where an input cannot be read.
 */
export async function checkRecomputed(
  plan: MergePlan,
  manifest: Manifest,
  tools: { addon: Addon; signal: AbortSignal; events: RunEvents },
  report: Report,
): Promise<void> {
  const results = await computeChecksums(plan, tools.addon, tools.signal, tools.events);
  for (const [i, { tensor }] of plan.ops.entries()) {
    if (results[i]?.checksum === manifest.tensors.get(tensor)?.checksum) continue;
    report.error({ code: "other-bytes", message: "the recipe gives other bytes than the manifest says", tensor });
  }
}
