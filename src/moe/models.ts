import { expandArchitecture } from "../architecture/expand.ts";
import { familiesFor } from "../architecture/families.ts";
import type { NamedModel } from "../config/types.ts";
import type { Position, Report } from "../errors.ts";
import { formatModelRef } from "../model/ref.ts";
import type { Model } from "../model/types.ts";
import type { OpenModel, PlanModel } from "../plan/models.ts";
import type { MixtureConfig } from "./types.ts";

/** Every model that a mixture is made of, opened once. */
export interface MixtureModels {
  /** The base first, then the experts in the order of the configuration. */
  all: readonly PlanModel[];
  base: PlanModel;
  of(named: NamedModel): PlanModel;
}

/** Every model that the configuration names, by its text, at its first place. */
export function mixtureModelNames({ baseModel, experts, shared }: MixtureConfig): Map<string, NamedModel> {
  const named = new Map<string, NamedModel>();
  for (const model of [baseModel, ...[...experts, ...shared].map((expert) => expert.model)]) {
    const key = formatModelRef(model.ref);
    if (!named.has(key)) named.set(key, model);
  }
  return named;
}

/** @returns undefined where a model cannot be used; the report says why. */
export function openMixtureModels(
  config: MixtureConfig,
  architectures: string | undefined,
  report: Report,
  open: OpenModel,
): MixtureModels | undefined {
  const named = mixtureModelNames(config);
  const opened = new Map<string, { model: Model; at: Position }>();
  for (const [key, one] of named) {
    const model = open(one, report);
    if (model !== undefined) opened.set(key, { model, at: one.at });
  }
  const list = [...opened.values()].map(({ model }) => model);
  const families = familiesFor(list, architectures, report);
  const models = new Map<string, PlanModel>();
  for (const [key, { model, at }] of opened) {
    const architecture = expandArchitecture(model, report, { families });
    if (architecture !== undefined) models.set(key, { model, architecture, at });
  }
  if (models.size < named.size) return undefined;
  const of = ({ ref }: NamedModel) => models.get(formatModelRef(ref)) as PlanModel;
  return { all: [...models.values()], base: of(config.baseModel), of };
}
