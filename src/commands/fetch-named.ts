import { Report } from "../errors.ts";
import { isOffline } from "../model/hub-cache.ts";
import { findMissing } from "../model/missing.ts";
import { type ModelRef, parseModelRef } from "../model/ref.ts";
import { UsageError } from "./parse.ts";

/** A model that a command line names. @throws UsageError */
export function refOf(text: string): ModelRef {
  const ref = parseModelRef(text);
  if (typeof ref === "string") throw new UsageError({ code: "bad-model", message: ref });
  return ref;
}

/**
 * Downloads the models of a command line that are named by a hub id and not in the cache.
 * @param check reports what would make the download a waste.
 */
export async function fetchNamed(
  refs: readonly ModelRef[],
  cacheDir: string | undefined,
  { quiet, check, report }: { quiet: boolean; check: (report: Report) => void; report: Report },
): Promise<void> {
  if (isOffline()) return;
  const at = { file: "command line", line: 1, column: 1 };
  const paths = refs.flatMap(({ model, lora }) => (lora === undefined ? [model] : [model, lora]));
  const missing = paths.flatMap((path) => findMissing({ path, at }, cacheDir) ?? []);
  if (missing.length === 0) return;
  check(report);
  report.throwIfErrors();
  const { downloadModels } = await import("./download-models.ts");
  const found = new Report();
  await downloadModels(missing, cacheDir, quiet, () => [], found);
  // A command line has no lines that a problem could point to.
  for (const { at: _, ...problem } of found.warnings) report.warn(problem);
  for (const { at: _, ...problem } of found.errors) report.error(problem);
  report.throwIfErrors();
}
