import { expandArchitecture } from "../architecture/expand.ts";
import { familiesFor } from "../architecture/families.ts";
import { familiesAgree, isPartOf } from "../architecture/modules.ts";
import { withSubfolders } from "../architecture/subfolders.ts";
import type { Architecture } from "../architecture/types.ts";
import type { Composition, MergeConfig, NamedModel } from "../config/types.ts";
import type { Position, Report } from "../errors.ts";
import { formatModelRef } from "../model/ref.ts";
import type { Model } from "../model/types.ts";
import { settleLayout } from "./model-layout.ts";
import type { MergeOptions } from "./types.ts";

/** Opens what a configuration names; undefined (and a problem in the report) where that fails. */
export type OpenModel = (named: NamedModel, report: Report) => Model | undefined;

/** A model of the recipe and how its family lays it out. */
export interface PlanModel {
  model: Model;
  architecture: Architecture;
  /** Where the recipe first names it. */
  at: Position;
}

/** Every model that the recipe names, opened once. */
export interface PlanModels {
  /** In the order of the recipe; a base that is not among the others comes last. */
  all: readonly PlanModel[];
  base: PlanModel | undefined;
  /** The base, else the first model: config.json and the tokenizer come from it. */
  donor: PlanModel;
  of(named: NamedModel): PlanModel;
  /** How the donor's family lays out another config.json. */
  expand(model: Model, report: Report): Architecture | undefined;
}

/**
 * Opens all models and checks that they are of one family, or parts of one.
 * @returns undefined where a model cannot be used; the report says why.
 */
export function openModels(
  config: MergeConfig,
  options: MergeOptions,
  report: Report,
  open: OpenModel,
): PlanModels | undefined {
  const named = namedModels(config);
  const opened = new Map<string, { model: Model; at: Position }>();
  for (const [key, one] of named) {
    const model = open(one, report);
    if (model !== undefined) opened.set(key, { model, at: one.at });
  }
  const expanded = new Map<string, PlanModel>();
  const expandOptions = {
    families: familiesFor(
      [...opened.values()].map(({ model }) => model),
      options.architectures,
      report,
    ),
    shared: new Map(),
  };
  for (const [key, { model: found, at }] of opened) {
    const model = withSubfolders(found, expandOptions.families, report);
    const architecture = model && expandArchitecture(model, report, expandOptions);
    if (model !== undefined && architecture !== undefined) expanded.set(key, { model, architecture, at });
  }
  if (expanded.size < named.size || expanded.size === 0) return undefined;
  const baseKey = config.baseModel && formatModelRef(config.baseModel.ref);
  const donorKey = chooseDonor(expanded, baseKey, report);
  checkFamilies([...expanded.values()], options, report);
  const settled = settleLayout(expanded, donorKey, { ...expandOptions, allowCrimes: options.allowCrimes }, report);
  if (settled === undefined) return undefined;
  const { models, split } = settled;
  return {
    all: [...models.values()],
    base: baseKey === undefined ? undefined : models.get(baseKey),
    donor: models.get(donorKey) as PlanModel,
    of: (wanted) => models.get(formatModelRef(wanted.ref)) as PlanModel,
    expand: (model, into) => expandArchitecture(model, into, { ...expandOptions, split }),
  };
}

/** Every model whose files are needed: those that are merged, the base, and one that only gives its tokenizer. */
export function neededModels(config: MergeConfig): Map<string, NamedModel> {
  const needed = namedModels(config);
  const source = config.tokenizer?.source;
  if (source === undefined || typeof source === "string") return needed;
  const key = formatModelRef(source.ref);
  if (!needed.has(key)) needed.set(key, source);
  return needed;
}

/** Every model that is merged or a base, by its text, at its first place. */
export function namedModels(config: MergeConfig): Map<string, NamedModel> {
  const compositions =
    config.body.kind === "whole"
      ? [config.body.composition]
      : [...config.body.modules.values()].map((module) => module.composition);
  const list = compositions.flatMap(modelsOf);
  if (config.baseModel !== undefined) list.push(config.baseModel);
  const named = new Map<string, NamedModel>();
  for (const model of list) {
    const key = formatModelRef(model.ref);
    if (!named.has(key)) named.set(key, model);
  }
  return named;
}

function modelsOf(composition: Composition): NamedModel[] {
  if (composition.kind === "models") return composition.models.map((input) => input.model);
  const sources = composition.slices.flatMap((slice) => slice.sources.map((source) => source.model));
  const bases = composition.slices.flatMap((slice) => (slice.baseModel === undefined ? [] : [slice.baseModel]));
  return [...sources, ...bases];
}

/** The base, else the first model; where that is only a part of another, the first that has all the parts. */
function chooseDonor(models: ReadonlyMap<string, PlanModel>, base: string | undefined, report: Report): string {
  const usual = base ?? ([...models.keys()][0] as string);
  const { architecture, model } = models.get(usual) as PlanModel;
  const larger = [...models].find(([, other]) => isPartOf(architecture, other.architecture));
  if (larger === undefined) return usual;
  const [key, { model: donor, at }] = larger;
  report.warn({
    code: "larger-donor",
    message: `${model.name} is only a part of what ${donor.name} is: config.json and the tokenizer come from the latter`,
    at,
    model: donor.name,
  });
  return key;
}

function checkFamilies(models: readonly PlanModel[], options: MergeOptions, report: Report): void {
  if (options.allowCrimes) return;
  const first = models.find(({ architecture }) => architecture.modules.length > 1) ?? models[0];
  const fits = ({ architecture }: PlanModel) =>
    first === undefined ||
    familiesAgree(architecture, first.architecture) ||
    isPartOf(architecture, first.architecture);
  const other = models.find((model) => !fits(model));
  if (other === undefined) return;
  const described = models.map(({ model, architecture }) => `${model.name} (${className(architecture)})`);
  report.error({
    code: "different-architectures",
    message: `the models are of different architectures: ${described.join(", ")}`,
    at: other.at,
    hint: "--allow-crimes merges them as far as names and shapes allow",
  });
}

function className({ architecture, family }: Architecture): string {
  return architecture ?? family;
}
