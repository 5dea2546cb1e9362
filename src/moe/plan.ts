import { configValue } from "../architecture/config-values.ts";
import type { Report } from "../errors.ts";
import { SinterError } from "../errors.ts";
import { openReference } from "../lora/open.ts";
import { type FloatDtype, isFloat, parseTorchDtype } from "../model/dtype.ts";
import { inputFiles, totals } from "../plan/build.ts";
import { configText, weightEdits } from "../plan/config-json.ts";
import { layOut } from "../plan/layout.ts";
import type { OpenModel, PlanModel } from "../plan/models.ts";
import { withCached } from "../plan/recipe.ts";
import { copiedFiles } from "../plan/side-files.ts";
import type { MergePlan, SideFile } from "../plan/types.ts";
import { mixtureCard } from "./card.ts";
import { chooseMixture } from "./choose.ts";
import { mixtureDefinitions } from "./definition.ts";
import { type MixtureModels, openMixtureModels } from "./models.ts";
import { mixtureArchitecture, mixtureEdits } from "./output.ts";
import { mixtureRecipe } from "./recipe.ts";
import { embeddingOf, type RouterPlace } from "./routers.ts";
import { checkSizes, denseWeights } from "./sources.ts";
import type { MixtureConfig, MixtureOptions } from "./types.ts";
import { mixtureWeights } from "./weights.ts";

const ROUTERS_VARY = "the routers, which come from a forward pass";

/** A plan that is whole but for the numbers of the routers, which prompts decide. */
export interface MixturePlan {
  plan: MergePlan;
  models: MixtureModels;
  /** Routers whose numbers are to be filled in; none where they are random. */
  routers: readonly RouterPlace[];
}

/**
 * Everything that building a mixture will do, before it does any of it: reads headers and config.json files, no tensor
 * byte.
 * @param outputName the name of the output folder: the title of the model card.
 * @param report takes warnings, which the plan also carries.
 * @param open how models are found; by default in folders and the Hugging Face cache.
 * @throws SinterError with every problem that the last step found.
 */
export function planMixture(
  config: MixtureConfig,
  options: MixtureOptions,
  outputName: string,
  report: Report,
  open: OpenModel = (named, into) => openReference(named, options, into),
): MixturePlan {
  const models = openMixtureModels(config, options.architectures, report, open);
  report.throwIfErrors();
  if (models === undefined) throw new SinterError(report.errors);
  const { base } = models;
  const definition = chooseMixture(mixtureDefinitions(), config, models, report);
  report.throwIfErrors();
  if (definition === undefined) throw new SinterError(report.errors);

  const dense = denseWeights();
  checkSizes(definition, config, models, dense, report);
  const embedding = embeddingOf(base, report);
  report.throwIfErrors();
  const structure = mixtureEdits(definition, config, base);
  const architecture = mixtureArchitecture(definition, structure, base, report);
  if (architecture === undefined || embedding === undefined) throw new SinterError(report.errors);
  const dtype = config.dtype ?? usualDtype(base, embedding.view.dtype);
  const width = embedding.view.shape.at(-1) ?? 0;
  const weights = mixtureWeights({ definition, config, models, architecture, dtype, width, dense }, options, report);
  report.throwIfErrors();

  const format = options.safeSerialization ? "safetensors" : "torch";
  const { folderIndexes: _, ...layout } = layOut(weights.ops, options.outShardSize, format);
  const edits = new Map([...structure, ...weightEdits(weights.ops, base, undefined, undefined)]);
  if (weights.tie !== undefined) edits.set(architecture.keys.tie, weights.tie);
  const plan: MergePlan = {
    method: "moe",
    seed: options.seed,
    models: models.all.map(({ model }) => model.name),
    baseModel: base.model.name,
    recipe: withCached(
      mixtureRecipe(config, options),
      models.all.map(({ model }) => model),
    ),
    inputFiles: inputFiles(weights.ops, models),
    ...layout,
    sideFiles: [
      { name: "config.json", text: configText(base.model, edits) },
      ...copiedFiles(base, options, report),
      ...cardFiles(config, models, definition.name, outputName, options),
    ],
    totals: totals(weights.ops, layout.shards),
    tied: weights.tied,
    warnings: [...report.warnings],
    varies: weights.routers.length > 0 && config.gateMode !== "cheap_embed" ? ROUTERS_VARY : undefined,
  };
  return { plan, models, routers: weights.routers };
}

/** The dtype that config.json of the base names, else that of its embedding. */
function usualDtype({ model }: PlanModel, stored: string): FloatDtype {
  for (const key of ["dtype", "torch_dtype"]) {
    const name = configValue(model.config, key);
    const dtype = typeof name === "string" ? parseTorchDtype(name) : undefined;
    if (dtype !== undefined) return dtype;
  }
  return isFloat(stored as FloatDtype) ? (stored as FloatDtype) : "BF16";
}

function cardFiles(
  config: MixtureConfig,
  models: MixtureModels,
  architecture: string,
  outputName: string,
  options: MixtureOptions,
): SideFile[] {
  if (!options.writeModelCard) return [];
  return [
    { name: "README.md", text: mixtureCard(config, models, architecture, outputName) },
    { name: "mergekit_moe_config.yml", text: config.text },
  ];
}
