import type { Architecture } from "../architecture/types.ts";
import type { MergeConfig } from "../config/types.ts";
import { type Report, SinterError } from "../errors.ts";
import { openReference } from "../lora/open.ts";
import { findMethod, methodProblem } from "../methods/index.ts";
import type { MergeMethod } from "../methods/types.ts";
import { applyEdits, type ConfigEdits } from "../model/config-edits.ts";
import { DTYPE_BYTES } from "../model/dtype.ts";
import { elementCount } from "../model/types.ts";
import { modelCard } from "./card.ts";
import { carriedTargets } from "./carried.ts";
import { configText, structureEdits, weightEdits } from "./config-json.ts";
import { layOut } from "./layout.ts";
import { type OpenModel, openModels, type PlanModels } from "./models.ts";
import { settleOrientation } from "./orientation.ts";
import { checkParameterNames } from "./parameter-names.ts";
import type { PlacelessOp } from "./place.ts";
import { filesRead } from "./reads.ts";
import { mergeRecipe, withCached } from "./recipe.ts";
import { settleSharedWeights } from "./shared-weights.ts";
import { copiedFiles, isTextTokenizerFile } from "./side-files.ts";
import { readRecipe } from "./sources.ts";
import { findTargets } from "./targets.ts";
import { planTensors } from "./tensors.ts";
import { checkTemplateName, chooseTemplate, withTemplate } from "./token-files.ts";
import { type SettledTokens, settleTokens } from "./tokens.ts";
import type { MergeOptions, MergePlan, Recipe, SideFile } from "./types.ts";
import { settleVocabulary } from "./vocabulary.ts";

/**
 * Everything that a merge will do, before it does any of it: reads headers and config.json files, no tensor byte.
 * @param outputName the name of the output folder: the title of the model card.
 * @param report takes warnings, which the plan also carries.
 * @param open how models are found; by default in folders and the Hugging Face cache.
 * @param origin what the plan is made from, where that is more than this configuration.
 * @throws SinterError with every problem that the last step found.
 */
export function buildPlan(
  config: MergeConfig,
  options: MergeOptions,
  outputName: string,
  report: Report,
  open: OpenModel = (named, into) => openReference(named, options, into),
  origin: Recipe = mergeRecipe(config, options),
): MergePlan {
  const method = checkRecipe(config, options, report);
  const models = openModels(config, options, report, open);
  report.throwIfErrors();
  if (method === undefined || models === undefined) throw new SinterError(report.errors);

  const recipe = readRecipe(config, models, method, report);
  report.throwIfErrors();
  const structure = structureEdits(recipe, models.donor, report);
  const output = outputArchitecture(models, structure, report);
  const targets = settleOrientation(findTargets(recipe, output), models.donor, report);
  const shared = settleSharedWeights(targets, options.lmHead, report);
  const tokens = config.tokenizer && settleTokens(config, config.tokenizer, models, shared.targets, options, report);
  report.throwIfErrors();
  const vocabulary = tokens ?? settleVocabulary(shared.targets, models.donor, options.copyTokenizer, report);
  const template = chooseTemplate(config, models, report);
  const carried = carriedTargets(recipe, models, { targets, structure }, report);
  const placeless = planTensors([...vocabulary.targets, ...carried], config, method, options, report);
  report.throwIfErrors();

  const format = options.safeSerialization ? "safetensors" : "torch";
  const { folderIndexes, ...layout } = layOut(placeless, options.outShardSize, format);
  const edits = new Map([
    ...structure,
    ...weightEdits(placeless, models.donor, vocabulary.size, shared.tie),
    ...(tokens?.edits ?? []),
  ]);
  const files: SideFile[] = [
    ...sideFiles(config, models, { edits, tokens, template }, options, report),
    ...folderIndexes,
  ];
  const plan: MergePlan = {
    method: method.name,
    seed: options.seed,
    models: models.all.map(({ model }) => model.name),
    baseModel: models.base?.model.name,
    madeInputs: madeInputs(models),
    recipe: withCached(
      origin,
      models.all.map(({ model }) => model),
    ),
    inputFiles: inputFiles(placeless, models),
    ...layout,
    sideFiles: files,
    totals: totals(placeless, layout.shards),
    tied: shared.tied,
    vocabulary: tokens?.summary,
    warnings: [...report.warnings],
  };
  // The card names the hash of the plan, which does not cover side files.
  if (options.writeModelCard) files.push(...cardFiles(config, method, models, outputName, plan));
  return plan;
}

/**
 * Everything that can be said of a configuration without its models.
 * @returns undefined where there is no such method.
 */
export function checkRecipe(config: MergeConfig, options: MergeOptions, report: Report): MergeMethod | undefined {
  const method = findMethod(config.mergeMethod);
  if (method === undefined) report.error(methodProblem(config.mergeMethod, config.mergeMethodAt));
  else checkParameterNames(config, method, options.strict, report);
  checkTemplateName(config, report);
  return method;
}

/** How the output is laid out: as its own config.json will say. */
function outputArchitecture({ donor, expand }: PlanModels, edits: ConfigEdits, report: Report): Architecture {
  if (edits.size === 0) return donor.architecture;
  const config = applyEdits(donor.model.config, edits);
  const architecture = expand({ ...donor.model, config }, report);
  if (architecture === undefined) throw new SinterError(report.errors);
  return architecture;
}

/** Weight files that an op reads, in the order of first use. */
export function inputFiles(ops: readonly PlacelessOp[], models: Pick<PlanModels, "all">): MergePlan["inputFiles"] {
  const known = new Map(models.all.flatMap(({ model }) => model.weightFiles.map((file) => [file.path, file])));
  return [...filesRead(ops)].map((path) => known.get(path) ?? { path, size: 0 });
}

/** The card, and the configuration as the user wrote it. */
function cardFiles(
  config: MergeConfig,
  method: MergeMethod,
  models: PlanModels,
  outputName: string,
  plan: MergePlan,
): SideFile[] {
  return [
    { name: "README.md", text: modelCard(config, method, models, outputName, plan) },
    { name: "mergekit_config.yml", text: config.text },
  ];
}

function madeInputs(models: PlanModels): MergePlan["madeInputs"] {
  const made = models.all.flatMap(({ model }) => (model.made ? [{ model: model.name, plan: model.made.plan }] : []));
  return made.length === 0 ? undefined : made;
}

/** Configuration, tokenizer and template of the output. */
function sideFiles(
  config: MergeConfig,
  models: PlanModels,
  { edits, tokens, template }: { edits: ConfigEdits; tokens: SettledTokens | undefined; template: string | undefined },
  options: MergeOptions,
  report: Report,
): SideFile[] {
  const copied = copiedFiles(models.donor, { copyTokenizer: options.copyTokenizer || tokens !== undefined }, report);
  const own = tokens === undefined ? copied : tokens.files(copied);
  return [
    { name: "config.json", text: configText(models.donor.model, edits) },
    ...(template === undefined ? own : templateFiles(own, template, config, report)),
  ];
}

/** A template is part of a tokenizer: without one it is left out, with a warning. */
function templateFiles(files: readonly SideFile[], template: string, config: MergeConfig, report: Report): SideFile[] {
  if (files.some(({ name }) => isTextTokenizerFile(name))) return withTemplate(files, template);
  const message = "a chat template is given, but the output has no tokenizer: it is left out";
  report.warn({ code: "chat-template", message, at: config.chatTemplate?.at });
  return [...files];
}

/** What the whole output comes to. */
export function totals(ops: readonly PlacelessOp[], shards: MergePlan["shards"]): MergePlan["totals"] {
  let parameters = 0;
  let bytesRead = 0;
  for (const { shape, inputs } of ops) {
    const count = elementCount(shape);
    parameters += count;
    for (const { view, gather } of inputs) {
      const same = gather !== undefined || view.shape === shape;
      bytesRead += (same ? count : elementCount(view.shape)) * DTYPE_BYTES[view.dtype];
    }
  }
  const bytesWritten = shards.reduce((sum, { size }) => sum + size, 0);
  return { tensors: ops.length, parameters, bytesRead, bytesWritten };
}
