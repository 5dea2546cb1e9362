import type { Report } from "../errors.ts";
import { readMixtureConfig } from "../moe/config.ts";
import { type MixturePlan, planMixture } from "../moe/plan.ts";
import { DEFAULT_OPTIONS, type MergeOptions, type Recipe } from "../plan/types.ts";

/**
 * Makes the plan of a mixture again, from the recipe that its folder's manifest has and the models that it names: whole but
 * for routers that come from prompts, whose numbers take a look at the base's rows or a forward pass.
 * @throws SinterError where that fails.
 */
export function replanMixture(
  recipe: Recipe,
  folders: Pick<MergeOptions, "cacheDir" | "architectures">,
  report: Report,
): MixturePlan {
  const { tensors: _, loraCache: __, expertLayout = "separate", ...recorded } = recipe.options;
  const config = readMixtureConfig(recipe.text, "the recipe", { strict: false }, report);
  return planMixture(config, { ...DEFAULT_OPTIONS, ...recorded, ...folders, expertLayout }, "mixture", report);
}
