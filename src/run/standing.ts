import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { Report } from "../errors.ts";
import { planHash } from "../plan/hash.ts";
import type { MergePlan } from "../plan/types.ts";
import { MANIFEST_NAME, type Manifest, readManifest } from "./manifest.ts";
import { PROSE } from "./written-files.ts";

/** What a folder holds of a plan's output. */
export type Standing =
  /** Nothing that Sinter wrote. */
  | { kind: "absent" }
  | { kind: "done" }
  /** A model of Sinter's that the plan would not give, or not any more. */
  | { kind: "stale"; reason: string };

/**
 * Whether a folder holds what the plan would write, as far as sizes, dates and the manifest tell. No weight is read:
 * `sinter verify` does that.
 */
export function standingOf(plan: MergePlan, folder: string): Standing {
  const written = modified(join(folder, MANIFEST_NAME));
  const manifest = written === undefined ? undefined : readManifest(folder, new Report());
  if (written === undefined || manifest === undefined) return { kind: "absent" };
  const reason = staleReason(plan, folder, manifest, written);
  return reason === undefined ? { kind: "done" } : { kind: "stale", reason };
}

/** @param written when the manifest was, in milliseconds. */
function staleReason(plan: MergePlan, folder: string, manifest: Manifest, written: number): string | undefined {
  if (manifest.version !== pkg.version) return `Sinter ${manifest.version} made it, and this is ${pkg.version}`;
  if (manifest.plan !== planHash(plan)) return "its recipe or its inputs changed";
  for (const { file, size } of plan.shards) {
    if (sizeOf(join(folder, file)) !== size) return `${file} is not whole`;
  }
  for (const file of [...plan.sideFiles, ...(plan.index ? [plan.index] : [])]) {
    const path = join(folder, file.name);
    const same = "text" in file ? PROSE.has(file.name) || hasText(path, file.text) : sizeOf(path) !== undefined;
    if (!same) return `${file.name} is not what the recipe gives`;
  }
  const newer = plan.inputFiles.find(({ path }) => (modified(path) ?? 0) > written);
  return newer && `${newer.path} is newer`;
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
