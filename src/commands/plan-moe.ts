import type { Report } from "../errors.ts";
import type { OpenNamed } from "../lora/open.ts";
import type { ModelRef } from "../model/ref.ts";
import { loadMixtureConfig } from "../moe/config.ts";
import { mixtureModelNames } from "../moe/models.ts";
import { type MixturePlan, planMixture } from "../moe/plan.ts";
import { checkExperts } from "../moe/prompt-check.ts";
import type { MixtureConfig, MixtureOptions } from "../moe/types.ts";
import { type FetchPolicy, fetchModels } from "./fetch-models.ts";

/**
 * From the configuration of a mixture to a plan; models on the Hub are fetched on the way.
 * @param outputName the name of the output folder: the title of the model card.
 * @param allowSame experts may all be one model.
 * @param prepare what else is done before models are opened; it may give another way to open them.
 * @throws SinterError with everything that is wrong.
 */
export async function planMixtureFile(
  path: string,
  outputName: string,
  { options, allowSame }: { options: MixtureOptions; allowSame: boolean },
  models: FetchPolicy,
  report: Report,
  prepare: (refs: readonly ModelRef[]) => Promise<OpenNamed | undefined> = async () => undefined,
): Promise<MixturePlan & { config: MixtureConfig }> {
  const config = loadMixtureConfig(path, { strict: options.strict }, report);
  checkExperts(config, allowSame, report);
  report.throwIfErrors();
  const named = [...mixtureModelNames(config).values()];
  await fetchModels(named, options.cacheDir, models, report);
  const open = await prepare(named.map(({ ref }) => ref));
  return { ...planMixture(config, options, outputName, report, open), config };
}
