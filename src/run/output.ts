import {
  accessSync,
  constants,
  type Dirent,
  lstatSync,
  readdirSync,
  realpathSync,
  statfsSync,
  statSync,
} from "node:fs";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import type { Report } from "../errors.ts";
import type { MergePlan } from "../plan/types.ts";
import { fileProblem } from "./file-error.ts";
import { wasFinishing } from "./journal.ts";
import { MANIFEST_NAME } from "./manifest.ts";
import { formatBytes } from "./units.ts";

/** The part of a plan that decides what is in the output folder, and what must not be the output folder. */
type OutputPlan = MergePlan | (typeof NOTHING_YET & Pick<MergePlan, "inputFiles">);

const NOTHING_YET = { shards: [], sideFiles: [], index: undefined, recipe: undefined } as const;

/** The output folder as it was found before anything was written. */
export interface OutputFolder {
  /** Absolute, links resolved as far as the path exists. */
  path: string;
  exists: boolean;
  /** Names of everything in it. */
  entries: readonly string[];
  /** Temporary files that an earlier run of Sinter left there when it was killed. */
  leftovers: readonly string[];
}

/** Weight files of a model: a reader that globs takes these for parts of it. */
export const WEIGHT_FILE = /^(model(-.*)?\.safetensors|pytorch_model.*\.bin)$/;
/** Those of an adapter, which may lie in a model's folder. */
export const ADAPTER_FILE = /^adapter_model\.(safetensors|bin)$/;
export const INDEX_NAMES: readonly string[] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];

const MODEL_FILE = /^(.*\.safetensors|pytorch_model.*\.bin|config\.json|adapter_model\.bin|.*\.gguf)$/;

/**
 * Looks at the output folder and reports everything that speaks against writing the plan's model there. Writes nothing.
 * @param force whether a model that is already there may be replaced.
 */
export function inspectOutput(plan: OutputPlan, out: string, force: boolean, report: Report): OutputFolder {
  const path = resolveLinks(resolve(out));
  if (path === undefined) {
    report.error({
      code: "output-link",
      message: "the output folder is a symbolic link that leads nowhere",
      path: out,
    });
    return { path: resolve(out), exists: false, entries: [], leftovers: [] };
  }
  checkApartFromInputs(plan, path, report);
  const existing = nearestExisting(path);
  const isFolder = checkWritable(existing, report);
  const found = isFolder && existing === path ? readFolder(path, report) : [];
  const names = plannedNames(plan);
  const leftovers = found.filter((entry) => isLeftover(entry, names)).map((entry) => entry.name);
  // Of a run that was killed while files got their names, some have them.
  const own = isFolder && existing === path && wasFinishing(path, "ops" in plan ? plan : undefined);
  checkEntries(found, names, path, force || own, report);
  checkSpace(plan, path, existing, leftovers, report);
  return { path, exists: existing === path, entries: found.map((entry) => entry.name), leftovers };
}

/**
 * What can be said of the output folder before there is a plan: whether it can be written to, holds no model, and is
 * apart from the inputs.
 */
export function checkOutput(
  out: string,
  force: boolean,
  report: Report,
  inputFiles: MergePlan["inputFiles"] = [],
): void {
  inspectOutput({ ...NOTHING_YET, inputFiles }, out, force, report);
}

/** Every file that the plan puts into the folder. */
export function plannedNames(plan: OutputPlan): Set<string> {
  const names = new Set([MANIFEST_NAME]);
  for (const shard of plan.shards) names.add(shard.file);
  for (const side of plan.sideFiles) names.add(side.name);
  if (plan.index) names.add(plan.index.name);
  return names;
}

function isLeftover(entry: Dirent, planned: ReadonlySet<string>): boolean {
  if (!entry.isFile() || !entry.name.endsWith(".tmp")) return false;
  const final = entry.name.slice(0, -".tmp".length);
  return planned.has(final) || WEIGHT_FILE.test(final) || INDEX_NAMES.includes(final);
}

/** The real path of what exists, and the rest as written. Undefined where a link on the way leads nowhere. */
function resolveLinks(path: string): string | undefined {
  const existing = nearestExisting(path);
  try {
    return join(realpathSync(existing), relative(existing, path));
  } catch {
    return undefined;
  }
}

/** The path itself or the closest folder above it that is there (a link that leads nowhere counts as there). */
function nearestExisting(path: string): string {
  for (let current = path; ; current = dirname(current)) {
    if (isThere(current) || dirname(current) === current) return current;
  }
}

function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // Below a file (ENOTDIR) or an unreadable folder (EACCES): what stands above it is judged instead.
    return false;
  }
}

function checkApartFromInputs(plan: OutputPlan, out: string, report: Report): void {
  const message = "the output folder must be apart from the input models";
  for (const folder of inputFolders(plan)) {
    const relation =
      folder === out
        ? "is the folder of"
        : isInside(folder, out)
          ? "contains"
          : isInside(out, folder) && !holdsLooseFiles(plan)
            ? "lies inside"
            : undefined;
    if (relation === undefined) continue;
    report.error({
      code: "output-is-input",
      message: `${message}, but it ${relation} an input model at ${folder}`,
      path: out,
      hint: "choose another output folder",
    });
  }
}

/** A folder of checkpoints is no model: the merged one may lie beside them. */
function holdsLooseFiles({ recipe }: OutputPlan): boolean {
  return recipe?.program === "raw";
}

/** Real folders of all input files: both where a link to a file stands and where the file itself lies. */
function inputFolders(plan: OutputPlan): Set<string> {
  const files = plan.inputFiles.map((file) => file.path);
  for (const side of plan.sideFiles) if ("from" in side) files.push(side.from);
  const real = new Map<string, string>();
  const folders = new Set<string>();
  for (const file of files) {
    const folder = dirname(resolve(file));
    const realFolder = real.get(folder) ?? realOr(folder);
    real.set(folder, realFolder);
    folders.add(realFolder);
    folders.add(dirname(realOr(join(realFolder, basename(file)))));
  }
  return folders;
}

function realOr(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function isInside(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function readFolder(path: string, report: Report): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    report.error(fileProblem("cannot read the output folder", path, error));
    return [];
  }
}

function checkEntries(
  found: readonly Dirent[],
  planned: ReadonlySet<string>,
  path: string,
  force: boolean,
  report: Report,
): void {
  for (const entry of found) {
    if (!entry.isDirectory()) continue;
    const stem = entry.name.endsWith(".tmp") ? entry.name.slice(0, -".tmp".length) : entry.name;
    if (planned.has(entry.name) || planned.has(stem)) {
      const message = `a folder named ${entry.name} stands where the merge writes a file`;
      report.error({ code: "output-blocked", message, path: join(path, entry.name) });
    }
  }
  if (force) return;
  const held = found.map((entry) => entry.name).filter((name) => MODEL_FILE.test(name) || planned.has(name));
  if (held.length === 0) return;
  const more = held.length > 4 ? ` and ${held.length - 4} more` : "";
  report.error({
    code: "output-holds-model",
    message: `the output folder is not free: it already holds ${held.slice(0, 4).join(", ")}${more}`,
    path,
    hint: "choose another folder, or replace the model there with --force",
  });
}

/** @returns whether it is a folder at all. */
function checkWritable(path: string, report: Report): boolean {
  if (!statSync(path).isDirectory()) {
    report.error({ code: "output-not-folder", message: "the output must be a folder, but a file is there", path });
    return false;
  }
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    report.error(fileProblem("cannot write to the folder", path, error));
  }
  return true;
}

/** Nothing that is there counts as freed: files of an older model stay until the new one is complete. */
function checkSpace(
  plan: OutputPlan,
  out: string,
  existing: string,
  leftovers: readonly string[],
  report: Report,
): void {
  let free: number;
  try {
    const stats = statfsSync(existing);
    free = stats.bavail * stats.bsize;
  } catch {
    return;
  }
  for (const name of leftovers) free += 512 * (statSync(join(out, name), { throwIfNoEntry: false })?.blocks ?? 0);
  const needed = bytesToWrite(plan);
  if (needed <= free) return;
  report.error({
    code: "disk-too-small",
    message: `the output takes ${formatBytes(needed)}, but its disk has ${formatBytes(free)} free`,
    path: out,
    hint: "free some space or choose an output folder on another disk",
  });
}

/** Bytes of all files of the output. */
export function bytesToWrite(plan: OutputPlan): number {
  let bytes = Buffer.byteLength(plan.index?.text ?? "");
  for (const shard of plan.shards) bytes += shard.size;
  for (const side of plan.sideFiles) {
    bytes +=
      "text" in side ? Buffer.byteLength(side.text) : (statSync(side.from, { throwIfNoEntry: false })?.size ?? 0);
  }
  return bytes;
}
