import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { planHash } from "../plan/hash.ts";
import type { MergePlan } from "../plan/types.ts";
import { MANIFEST_NAME } from "./manifest.ts";

/** What a folder holds of a plan's output. */
export type Standing =
  /** Nothing that Sinter wrote. */
  | { kind: "absent" }
  | { kind: "done" }
  /** A model of Sinter's that the plan would not give, or not any more. */
  | { kind: "stale"; reason: string };

/** Said of the merge and not of the model: they may be older than the recipe. */
const PROSE: ReadonlySet<string> = new Set(["README.md", "mergekit_config.yml"]);

/**
 * Whether a folder holds what the plan would write, as far as sizes, dates and the manifest tell. No weight is read:
 * `sinter verify` does that.
 */
export function standingOf(plan: MergePlan, folder: string): Standing {
  const manifest = readManifest(folder);
  if (manifest === undefined) return { kind: "absent" };
  const reason = staleReason(plan, folder, manifest);
  return reason === undefined ? { kind: "done" } : { kind: "stale", reason };
}

function staleReason(plan: MergePlan, folder: string, manifest: Manifest): string | undefined {
  if (manifest.sinter_version !== pkg.version)
    return `Sinter ${manifest.sinter_version} made it, and this is ${pkg.version}`;
  if (manifest.plan !== planHash(plan)) return "its recipe or its inputs changed";
  for (const { file, size } of plan.shards) {
    if (sizeOf(join(folder, file)) !== size) return `${file} is not whole`;
  }
  for (const file of [...plan.sideFiles, ...(plan.index ? [plan.index] : [])]) {
    const path = join(folder, file.name);
    const same = "text" in file ? PROSE.has(file.name) || hasText(path, file.text) : sizeOf(path) !== undefined;
    if (!same) return `${file.name} is not what the recipe gives`;
  }
  const newer = plan.inputFiles.find(({ path }) => (modified(path) ?? 0) > manifest.modified);
  return newer && `${newer.path} is newer`;
}

interface Manifest {
  plan: unknown;
  sinter_version: unknown;
  /** Milliseconds. */
  modified: number;
}

function readManifest(folder: string): Manifest | undefined {
  const path = join(folder, MANIFEST_NAME);
  const at = modified(path);
  if (at === undefined) return undefined;
  try {
    const { plan, sinter_version } = JSON.parse(readFileSync(path, "utf8"));
    return { plan, sinter_version, modified: at };
  } catch {
    return undefined;
  }
}

function modified(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs;
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

function hasText(path: string, text: string): boolean {
  return sizeOf(path) === Buffer.byteLength(text) && readFileSync(path, "utf8") === text;
}
