import { configValue } from "../architecture/config-values.ts";
import { expandArchitecture } from "../architecture/expand.ts";
import type { Architecture } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import { applyEdits, type ConfigEdits } from "../model/config-edits.ts";
import type { Model } from "../model/types.ts";
import type { PlanModel } from "../plan/models.ts";
import type { MixtureDefinition } from "./definition.ts";
import type { MixtureConfig } from "./types.ts";

/** What of the base's config.json changes for the mixture; an undefined value takes a key away. */
export function mixtureEdits(definition: MixtureDefinition, config: MixtureConfig, base: PlanModel): ConfigEdits {
  const own = base.model.config;
  const edits = new Map<string, unknown>();
  for (const key of definition.leave_out) if (key in own) edits.set(key, undefined);
  const numbers = new Map<string, number | null>([
    ["experts", config.experts.length],
    ["shared_experts", config.shared.length || null],
    ["experts_per_token", config.expertsPerToken],
  ]);
  const fill = (value: unknown) => filled(value, numbers, own);
  for (const [key, usual] of Object.entries(definition.inputs[base.architecture.family] ?? {})) {
    const [value, unless] = typeof usual === "object" ? [usual.value, usual.unless] : [usual, key];
    if (configValue(own, key) === undefined && configValue(own, unless) === undefined) edits.set(key, fill(value));
  }
  for (const [key, value] of Object.entries(definition.config)) {
    const given = fill(value);
    if (given !== undefined) edits.set(key, given);
  }
  if (config.shared.length === 0) for (const [key, width] of standInWidths(definition, base)) edits.set(key, width);
  return edits;
}

/** Keys of config.json with the width of the shared expert that stands in where there is none; empty where none has to. */
export function standInWidths({ shared }: MixtureDefinition, { model }: PlanModel): ReadonlyMap<string, number> {
  const own = configValue(model.config, "intermediate_size");
  const most = typeof own === "number" ? own : Number.POSITIVE_INFINITY;
  return new Map(Object.entries(shared?.stand_in ?? {}).map(([key, width]) => [key, Math.min(width, most)]));
}

/** A value with `${name}` filled in; undefined where no such name has a value. */
function filled(value: unknown, numbers: ReadonlyMap<string, unknown>, own: Model["config"]): unknown {
  const names = typeof value === "string" ? /^\$\{(.+)\}$/.exec(value)?.[1]?.split(",") : undefined;
  if (names === undefined) return value;
  const values = names.map((name) => (numbers.has(name) ? numbers.get(name) : configValue(own, name)));
  return values.find((one) => one !== undefined);
}

/**
 * The output's weights: what the family of the mixture's class gives for the edited config.json, each weight apart, with
 * its place in a larger tensor where the class has one.
 */
export function mixtureArchitecture(
  definition: MixtureDefinition,
  edits: ConfigEdits,
  { model }: PlanModel,
  report: Report,
): Architecture | undefined {
  const config = applyEdits(model.config, edits);
  // No tensor is there yet: names are the family's usual ones, however the base spells its own.
  const output = { ...model, config, architecture: definition.architecture, tensors: new Map() };
  return expandArchitecture(output, report, { split: "always" });
}
