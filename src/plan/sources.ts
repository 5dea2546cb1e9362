import type { Composition, InputModel, MergeConfig, OutputSlice, Parameters } from "../config/types.ts";
import { nearest, type Position, type Report } from "../errors.ts";
import type { MergeMethod } from "../methods/types.ts";
import type { PlanModel, PlanModels } from "./models.ts";

/** Layers `[start, start + slice.layers)` of one model. A source is its position in the slice, never its model. */
export interface Source {
  from: PlanModel;
  start: number;
  parameters: Parameters;
  at: Position;
  isBase: boolean;
}

/** Layers of the output, and what each is made of. */
export interface Slice {
  /** In the order of the recipe; an added base comes last. */
  sources: readonly Source[];
  layers: number;
  parameters: Parameters;
  at: Position;
}

export interface RecipeModule {
  name: string;
  slices: readonly Slice[];
  parameters: Parameters;
}

const NO_PARAMETERS: Parameters = new Map();

/**
 * Turns whole-model, sliced and modular configurations into slices of modules, in the donor's order of modules.
 * Layer ranges, numbers of models and bases are checked; what is wrong goes to the report.
 */
export function readRecipe(
  config: MergeConfig,
  models: PlanModels,
  method: MergeMethod,
  report: Report,
): readonly RecipeModule[] {
  const recipe = compositions(config, models, report).map(({ name, composition, parameters, at }) => ({
    name,
    parameters,
    slices: readSlices(name, composition, config, models, at, report),
  }));
  // A whole model of several modules has the same sources in each: one check is enough.
  const checked = new Set<Position>();
  for (const slice of recipe.flatMap((module) => module.slices)) {
    if (!checked.has(slice.at)) checkSources(slice, method, config, report);
    checked.add(slice.at);
  }
  return recipe;
}

interface NamedComposition {
  name: string;
  composition: Composition;
  parameters: Parameters;
  at: Position;
}

function compositions(config: MergeConfig, models: PlanModels, report: Report): NamedComposition[] {
  const { modules, family } = models.donor.architecture;
  if (config.body.kind === "modules") {
    const given = config.body.modules;
    checkModuleNames(
      [...given].map(([name, { at }]) => ({ name, at })),
      modules.map((module) => module.name),
      family,
      report,
    );
    return modules.flatMap(({ name }) => {
      const definition = given.get(name);
      return definition === undefined ? [] : [{ name, ...definition }];
    });
  }
  const { composition } = config.body;
  const at = composition.kind === "models" ? composition.models[0]?.model.at : composition.slices[0]?.at;
  if (composition.kind === "slices" && modules.length > 1) {
    report.error({
      code: "needs-modules",
      message: `${family} has several modules (${modules.map((module) => module.name).join(", ")})`,
      at,
      hint: "give slices for each of them under modules:",
    });
    return [];
  }
  return modules.map(({ name }) => ({
    name,
    composition,
    parameters: NO_PARAMETERS,
    at: at ?? config.mergeMethodAt,
  }));
}

function checkModuleNames(
  given: readonly { name: string; at: Position }[],
  known: readonly string[],
  family: string,
  report: Report,
): void {
  for (const { name, at } of given) {
    if (known.includes(name)) continue;
    const close = nearest(name, known);
    report.error({
      code: "unknown-module",
      message: `${family} has no module ${JSON.stringify(name)}`,
      at,
      hint: close === undefined ? `its modules: ${known.join(", ")}` : `did you mean ${close}?`,
    });
  }
  for (const name of known) {
    if (given.some((module) => module.name === name)) continue;
    report.warn({ code: "module-left-out", message: `module ${name} of ${family} is not given: the output lacks it` });
  }
}

function readSlices(
  module: string,
  composition: Composition,
  config: MergeConfig,
  models: PlanModels,
  at: Position,
  report: Report,
): Slice[] {
  if (composition.kind === "models") return [wholeModels(module, composition.models, config, models, at, report)];
  return composition.slices.map((slice) => readSlice(module, slice, config, models, report));
}

/** All layers of all models; the base is added where it is not among them. */
function wholeModels(
  module: string,
  inputs: readonly InputModel[],
  config: MergeConfig,
  models: PlanModels,
  at: Position,
  report: Report,
): Slice {
  const list = inputs.map(({ model, parameters }) => ({ from: models.of(model), start: 0, parameters, at: model.at }));
  if (config.baseModel !== undefined && models.base !== undefined) {
    const base = { from: models.base, start: 0, parameters: NO_PARAMETERS, at: config.baseModel.at };
    if (!list.some((source) => source.from === base.from)) list.push(base);
  }
  const counts = list.map((source) => layerCount(source.from, module));
  const layers = counts[0] ?? 0;
  if (counts.some((count) => count !== layers)) {
    const described = list.map((source, i) => `${source.from.model.name} ${counts[i]}`);
    report.error({
      code: "layer-count",
      message: `all models must have the same number of layers: ${[...new Set(described)].join(", ")}`,
      at,
      hint: "say with slices: which layers belong together",
    });
  }
  return { sources: markBase(list, models.base), layers, parameters: NO_PARAMETERS, at };
}

function readSlice(module: string, slice: OutputSlice, config: MergeConfig, models: PlanModels, report: Report): Slice {
  const list = slice.sources.map(({ model, layerRange, parameters, at }) => {
    const from = models.of(model);
    const count = layerCount(from, module);
    if (layerRange[1] > count) {
      report.error({
        code: "layer-range",
        message: `layer_range [${layerRange.join(", ")}] goes beyond the ${count} layers of ${from.model.name}`,
        at,
        hint: "layers count from 0, and the end of a range is not part of it",
      });
    }
    return { from, start: layerRange[0], parameters, at: model.at };
  });
  const lengths = slice.sources.map(({ layerRange }) => layerRange[1] - layerRange[0]);
  const layers = lengths[0] ?? 0;
  if (lengths.some((length) => length !== layers)) {
    const described = list.map((source, i) => `${source.from.model.name} ${lengths[i]}`);
    report.error({
      code: "slice-length",
      message: `all sources of a slice must have the same number of layers: ${described.join(", ")}`,
      at: slice.at,
    });
  }
  const named = slice.baseModel ?? config.baseModel;
  return { sources: markBase(list, named && models.of(named)), layers, parameters: slice.parameters, at: slice.at };
}

function layerCount(from: PlanModel, module: string): number {
  return from.architecture.modules.find(({ name }) => name === module)?.layers.length ?? 0;
}

/** The first source of the base model is the base, and so is another with the same layers: they have no difference. */
function markBase(list: readonly Omit<Source, "isBase">[], base: PlanModel | undefined): Source[] {
  const first = list.find((source) => source.from === base);
  return list.map((source) => ({ ...source, isBase: source.from === base && source.start === first?.start }));
}

/** As many sources as the method takes, and a base among them where it needs one. One source, or the base, may do. */
function checkSources(slice: Slice, method: MergeMethod, config: MergeConfig, report: Report): void {
  const { sources } = slice;
  const hasBase = sources.some((source) => source.isBase);
  if (method.base === "required" && !hasBase && sources.length > 1) {
    reportBaseMissing(slice, method, config, report);
    return;
  }
  if (method.base === "optional" && config.baseModel !== undefined && !hasBase && sources.length > 1) {
    report.warn({
      code: "base-unused",
      message: `base_model is not among the sources of this slice: ${method.name} merges them without a base`,
      at: slice.at,
    });
  }
  const counted = sources.filter((source) => method.base === "member" || !source.isBase);
  const count = counted.length;
  const { min, max } = method.models;
  if (sources.length === 1 || count === 0 || (count >= min && count <= max)) return;
  const bound = count > max ? max : min;
  const wanted = `${min === max ? "" : count > max ? "at most " : "at least "}${bound} ${bound === 1 ? "model" : "models"}`;
  const besides = method.base !== "member" && hasBase ? " besides the base" : "";
  const names = counted.map((source) => source.from.model.name).join(", ");
  report.error({
    code: "model-count",
    message: `${method.name} merges ${wanted}${besides}, and here ${count === 1 ? "is" : "are"} ${count}: ${names}`,
    at: slice.at,
    hint: countHint(slice, method, config),
  });
}

function countHint(slice: Slice, method: MergeMethod, config: MergeConfig): string | undefined {
  const base = slice.sources.find((source) => source.isBase);
  if (method.base === "optional" && base !== undefined) {
    return `${base.from.model.name} is base_model, and therefore none of the models that are merged: leave base_model out to merge it`;
  }
  const added = slice.sources.some((source) => source.at === config.baseModel?.at);
  return added ? "base_model is not among the models and was added to them" : undefined;
}

function reportBaseMissing(slice: Slice, method: MergeMethod, config: MergeConfig, report: Report): void {
  const unset = config.baseModel === undefined;
  report.error({
    code: "base-missing",
    message: unset
      ? `${method.name} needs a base_model`
      : `${method.name} needs the base model among the sources of every slice`,
    at: unset ? config.mergeMethodAt : slice.at,
    hint: "set base_model to one of the models that are merged here",
  });
}
