import { expandArchitecture, familiesAgree } from "../architecture/expand.ts";
import type { Architecture } from "../architecture/types.ts";
import type { Composition, MergeConfig, NamedModel } from "../config/types.ts";
import type { Position, Report } from "../errors.ts";
import { formatModelRef } from "../model/ref.ts";
import type { Model } from "../model/types.ts";
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
}

/**
 * Opens all models and checks that they are of one family.
 * @returns undefined where a model cannot be used; the report says why.
 */
export function openModels(
  config: MergeConfig,
  options: MergeOptions,
  report: Report,
  open: OpenModel,
): PlanModels | undefined {
  const named = namedModels(config);
  const opened = new Map<string, PlanModel>();
  for (const [key, model] of named) {
    const planModel = openOne(model, report, open);
    if (planModel !== undefined) opened.set(key, planModel);
  }
  const all = [...opened.values()];
  if (!options.allowCrimes) checkFamilies(all, report);
  const first = all[0];
  if (first === undefined || opened.size < named.size) return undefined;
  const base = config.baseModel && opened.get(formatModelRef(config.baseModel.ref));
  return {
    all,
    base,
    donor: base ?? first,
    of: (wanted) => opened.get(formatModelRef(wanted.ref)) as PlanModel,
  };
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

function openOne(named: NamedModel, report: Report, open: OpenModel): PlanModel | undefined {
  const model = open(named, report);
  const architecture = model && expandArchitecture(model, report);
  return model && architecture && { model, architecture, at: named.at };
}

function checkFamilies(models: readonly PlanModel[], report: Report): void {
  const first = models[0];
  const other = models.find((model) => first && !familiesAgree(model.architecture, first.architecture));
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
