import type { Architecture } from "../architecture/types.ts";
import type { MergeConfig } from "../config/types.ts";
import { type Report, SinterError } from "../errors.ts";
import { openReference } from "../lora/open.ts";
import { findMethod, methodProblem } from "../methods/index.ts";
import type { MergeMethod } from "../methods/types.ts";
import { factorsOf } from "../model/patch.ts";
import { elementCount } from "../model/types.ts";
import { modelCard } from "./card.ts";
import { carriedTargets } from "./carried.ts";
import { applyEdits, configText, structureEdits, weightEdits } from "./config-json.ts";
import { layOut } from "./layout.ts";
import { type OpenModel, openModels, type PlanModels } from "./models.ts";
import { checkParameterNames } from "./parameter-names.ts";
import { type PlacelessOp, tensorBytes } from "./place.ts";
import { settleSharedWeights } from "./shared-weights.ts";
import { copiedFiles } from "./side-files.ts";
import { readRecipe } from "./sources.ts";
import { findTargets } from "./targets.ts";
import { planTensors } from "./tensors.ts";
import type { ConfigEdits, MergeOptions, MergePlan, SideFile } from "./types.ts";
import { settleVocabulary } from "./vocabulary.ts";

/**
 * Everything that a merge will do, before it does any of it: reads headers and config.json files, no tensor byte.
 * @param outputName the name of the output folder: the title of the model card.
 * @param report takes warnings, which the plan also carries.
 * @param open how models are found; by default in folders and the Hugging Face cache.
 * @throws SinterError with every problem that the last step found.
 */
export function buildPlan(
  config: MergeConfig,
  options: MergeOptions,
  outputName: string,
  report: Report,
  open: OpenModel = (named, into) => openReference(named, options, into),
): MergePlan {
  const method = checkRecipe(config, options, report);
  const models = openModels(config, options, report, open);
  report.throwIfErrors();
  if (method === undefined || models === undefined) throw new SinterError(report.errors);

  const recipe = readRecipe(config, models, method, report);
  report.throwIfErrors();
  const structure = structureEdits(recipe, models.donor, report);
  const output = outputArchitecture(models, structure, report);
  const shared = settleSharedWeights(findTargets(recipe, output), options.lmHead, report);
  const vocabulary = settleVocabulary(shared.targets, models.donor, options.copyTokenizer, report);
  const carried = carriedTargets(recipe, models, structure, report);
  const placeless = planTensors([...vocabulary.targets, ...carried], config, method, options, report);
  report.throwIfErrors();

  const format = options.safeSerialization ? "safetensors" : "torch";
  const { folderIndexes, ...layout } = layOut(placeless, options.outShardSize, format);
  const edits = new Map([...structure, ...weightEdits(placeless, models.donor, vocabulary.size, shared.tie)]);
  return {
    method: method.name,
    seed: options.seed,
    models: models.all.map(({ model }) => model.name),
    baseModel: models.base?.model.name,
    inputFiles: inputFiles(placeless, models),
    ...layout,
    sideFiles: [...sideFiles(config, method, models, edits, { options, outputName, report }), ...folderIndexes],
    totals: totals(placeless, layout.shards),
    tied: shared.tied,
    warnings: [...report.warnings],
  };
}

/**
 * Everything that can be said of a configuration without its models.
 * @returns undefined where there is no such method.
 */
export function checkRecipe(config: MergeConfig, options: MergeOptions, report: Report): MergeMethod | undefined {
  reportLater(config, report);
  const method = findMethod(config.mergeMethod);
  if (method === undefined) report.error(methodProblem(config.mergeMethod, config.mergeMethodAt));
  else checkParameterNames(config, method, options.strict, report);
  return method;
}

/** What configurations may ask for and Sinter does not do yet. */
function reportLater(config: MergeConfig, report: Report): void {
  if (config.tokenizer !== undefined) {
    report.error({
      code: "not-yet",
      message: "building a tokenizer (tokenizer_source, tokenizer) is not available yet",
      at: config.tokenizer.at,
      hint: "without it, the tokenizer of base_model, else of the first model, is copied",
    });
  }
  if (config.chatTemplate !== undefined) {
    report.error({
      code: "not-yet",
      message: "setting a chat_template is not available yet",
      at: config.chatTemplate.at,
      hint: "without it, the template of base_model, else of the first model, is copied",
    });
  }
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
  const sizes = new Map(models.all.flatMap(({ model }) => model.weightFiles.map(({ path, size }) => [path, size])));
  const used = new Set<string>();
  for (const { inputs } of ops) {
    for (const { view } of inputs) {
      used.add(view.file);
      for (const { file } of factorsOf(view)) used.add(file);
    }
  }
  return [...used].map((path) => ({ path, size: sizes.get(path) ?? 0 }));
}

function sideFiles(
  config: MergeConfig,
  method: MergeMethod,
  models: PlanModels,
  edits: ConfigEdits,
  { options, outputName, report }: { options: MergeOptions; outputName: string; report: Report },
): SideFile[] {
  const files: SideFile[] = [{ name: "config.json", text: configText(models.donor.model, edits) }];
  files.push(...copiedFiles(models.donor, options, report));
  if (options.writeModelCard) {
    files.push({ name: "README.md", text: modelCard(config, method, models, outputName) });
    files.push({ name: "mergekit_config.yml", text: config.text });
  }
  return files;
}

/** What the whole output comes to. */
export function totals(ops: readonly PlacelessOp[], shards: MergePlan["shards"]): MergePlan["totals"] {
  let parameters = 0;
  let bytesRead = 0;
  for (const { shape, inputs } of ops) {
    parameters += elementCount(shape);
    for (const { view } of inputs) bytesRead += tensorBytes(view);
  }
  const bytesWritten = shards.reduce((sum, { size }) => sum + size, 0);
  return { tensors: ops.length, parameters, bytesRead, bytesWritten };
}
