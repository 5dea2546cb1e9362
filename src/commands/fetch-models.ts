import type { MergeConfig } from "../config/types.ts";
import type { Report } from "../errors.ts";
import { isOffline } from "../model/hub-cache.ts";
import { type FoldersOf, findMissing, type MissingModel } from "../model/missing.ts";
import { namedModels } from "../plan/models.ts";

/** What to do about models that are on the Hub and not here. */
export interface FetchPolicy {
  /** Download them, or only say what that would be. */
  download: boolean;
  /** Neither messages nor progress. */
  quiet: boolean;
  /** Reports what would make the download a waste. Called only where there is something to download. */
  check: (report: Report) => void;
  /** The folders that hold parts of a model, by its config.json. */
  foldersOf?: FoldersOf;
}

/**
 * Puts every model that the recipe names by a hub id into the Hugging Face cache. Where all of them are there, nothing
 * of this is even loaded.
 * @throws SinterError with everything that stands against it; where nothing is to be downloaded, with what would be.
 */
export async function fetchModels(
  config: MergeConfig,
  cacheDir: string | undefined,
  policy: FetchPolicy,
  report: Report,
): Promise<void> {
  if (isOffline()) return;
  const missing = missingModels(config, cacheDir, policy.foldersOf);
  if (missing.length === 0 || (!policy.download && missing.every((model) => model.isUsable))) return;
  policy.check(report);
  report.throwIfErrors();
  const { downloadModels, describeDownload } = await import("./download-models.ts");
  const foldersOf = policy.foldersOf ?? (() => []);
  if (policy.download) await downloadModels(missing, cacheDir, policy.quiet, foldersOf, report);
  else await describeDownload(missing, cacheDir, foldersOf, report);
  report.throwIfErrors();
}

function missingModels(
  config: MergeConfig,
  cacheDir: string | undefined,
  foldersOf: FoldersOf | undefined,
): MissingModel[] {
  const named = [...namedModels(config).values()];
  // Planning refuses recipes with adapters: nothing of them is worth a download.
  if (named.some(({ ref }) => ref.lora !== undefined)) return [];
  const missing = new Map<string, MissingModel>();
  for (const { ref, at } of named) {
    const model = findMissing({ path: ref.model, at }, cacheDir, foldersOf);
    if (model !== undefined) missing.set(`${model.id}@${model.revision}`, model);
  }
  return [...missing.values()];
}
