import { describedFamilies } from "../architecture/families.ts";
import { BUILT_IN } from "../architecture/registry.ts";
import { moduleFolders } from "../architecture/subfolders.ts";
import { Report } from "../errors.ts";
import type { NamedRef } from "../model/attribute.ts";
import { isOffline } from "../model/hub-cache.ts";
import { type FoldersOf, findMissing, type MissingModel } from "../model/missing.ts";

/** What to do about models that are on the Hub and not here. */
export interface FetchPolicy {
  /** Download them, or only say what that would be. */
  download: boolean;
  /** Neither messages nor progress. */
  quiet: boolean;
  /** Reports what would make the download a waste. Called only where there is something to download. */
  check: (report: Report) => void;
  /** The user's definitions of families: a file or a folder. */
  definitions?: string | undefined;
}

/**
 * Puts every one of the models and adapters that is named by a hub id into the Hugging Face cache. Where all of them are
 * there, nothing of this is even loaded.
 * @throws SinterError with everything that stands against it; where nothing is to be downloaded, with what would be.
 */
export async function fetchModels(
  models: Iterable<NamedRef>,
  cacheDir: string | undefined,
  policy: FetchPolicy,
  report: Report,
): Promise<void> {
  if (isOffline()) return;
  const foldersOf = moduleFoldersOf(policy.definitions);
  const missing = missingModels([...models], cacheDir, foldersOf);
  if (missing.length === 0 || (!policy.download && missing.every((model) => model.isUsable))) return;
  policy.check(report);
  report.throwIfErrors();
  const { downloadModels, describeDownload } = await import("./download-models.ts");
  if (policy.download) await downloadModels(missing, cacheDir, policy.quiet, foldersOf, report);
  else await describeDownload(missing, cacheDir, foldersOf, report);
  report.throwIfErrors();
}

function missingModels(named: readonly NamedRef[], cacheDir: string | undefined, foldersOf: FoldersOf): MissingModel[] {
  const missing = new Map<string, MissingModel>();
  for (const { ref, at } of named) {
    for (const path of ref.lora === undefined ? [ref.model] : [ref.model, ref.lora]) {
      const model = findMissing({ path, at }, cacheDir, foldersOf);
      if (model !== undefined) missing.set(`${model.id}@${model.revision}`, model);
    }
  }
  return [...missing.values()];
}

/** The folders of a model's modules, as the user's definitions of families say. Sinter's own families have none. */
function moduleFoldersOf(definitions: string | undefined): FoldersOf {
  return ({ architectures, model_type: type }) => {
    // What is wrong with the definitions is reported when the models are opened.
    const families = describedFamilies(definitions, new Report());
    if (families === BUILT_IN) return [];
    return moduleFolders(Array.isArray(architectures) ? String(architectures[0]) : undefined, type, families);
  };
}
