import { resolveWeight, unknownTensors } from "../architecture/resolve.ts";
import type { Resolution, WeightSpec } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import { someOf } from "../plan/copies.ts";
import type { PlanModel } from "../plan/models.ts";
import type { MixtureDefinition } from "./definition.ts";
import type { MixtureModels } from "./models.ts";
import { expertModules, moduleOf } from "./parts.ts";
import type { Expert, MixtureConfig } from "./types.ts";

/** A dense weight of one layer; undefined where the model lacks it. */
export type DenseWeight = (from: PlanModel, layer: number, key: string) => Resolution | undefined;

/** Looks dense weights up by layer and key; each model's layers are indexed once. */
export function denseWeights(): DenseWeight {
  const indexed = new Map<PlanModel, ReadonlyMap<string, WeightSpec>[]>();
  return (from, layer, key) => {
    let layers = indexed.get(from);
    if (layers === undefined) {
      layers = layersOf(from).map((specs) => new Map(specs.map((spec) => [spec.key, spec])));
      indexed.set(from, layers);
    }
    const spec = layers[layer]?.get(key);
    return spec && resolveWeight(spec, from.model, from.architecture);
  };
}

function layersOf({ architecture }: PlanModel): readonly (readonly WeightSpec[])[] {
  return architecture.modules[0]?.layers ?? [];
}

/** Reports experts whose layers are not as many, or whose feed-forward weights are not as wide, as the base's. */
export function checkSizes(
  definition: MixtureDefinition,
  config: MixtureConfig,
  models: MixtureModels,
  dense: DenseWeight,
  report: Report,
): void {
  const modules = expertModules(definition);
  const layers = layersOf(models.base).length;
  for (const { from, expert } of expertModels(config, models)) {
    const own = layersOf(from).length;
    if (own !== layers) {
      const message = `the expert has ${own} layers, and the base, ${models.base.model.name}, has ${layers}`;
      report.error({ code: "unequal-layers", message, at: expert.model.at, model: from.model.name });
      continue;
    }
    const other = firstDifference(from, models.base, layers, modules, dense);
    if (other === undefined) continue;
    report.error({
      code: "unequal-widths",
      message:
        `the expert's weights are not as wide as those of the base, ${models.base.model.name}: ${other.key} of layer ` +
        `${other.layer} is [${other.own}] here and [${other.bases}] there`,
      at: expert.model.at,
      model: from.model.name,
      hint: "experts must have the base's hidden_size and intermediate_size",
    });
  }
}

/** The first weight of the given modules that two models have in different shapes. */
function firstDifference(
  from: PlanModel,
  base: PlanModel,
  layers: number,
  modules: ReadonlySet<string>,
  dense: DenseWeight,
): { key: string; layer: number; own: string; bases: string } | undefined {
  for (let layer = 0; layer < layers; layer++) {
    for (const { key } of layersOf(base)[layer] ?? []) {
      if (!modules.has(moduleOf(key))) continue;
      const [own, bases] = [from, base].map((one) => dense(one, layer, key)?.view.shape.join(", "));
      if (own !== undefined && bases !== undefined && own !== bases) return { key, layer, own, bases };
    }
  }
  return undefined;
}

/** The models of all experts, each once and at its first place; the base apart, whose sizes are those of the output. */
function expertModels(config: MixtureConfig, models: MixtureModels): { from: PlanModel; expert: Expert }[] {
  const first = new Map<PlanModel, Expert>();
  for (const expert of [...config.experts, ...config.shared]) {
    const from = models.of(expert.model);
    if (from !== models.base && !first.has(from)) first.set(from, expert);
  }
  return [...first].map(([from, expert]) => ({ from, expert }));
}

/**
 * Reports weights that the mixture has no place for: of the base, what is neither taken over nor part of an expert; of
 * the experts, what belongs to their feed-forward parts. Tensors that the base's family does not know are left out.
 * @param placed keys of the output's weights that come from the base. @param sources keys that experts are made of.
 */
export function checkPlaces(
  definition: MixtureDefinition,
  config: MixtureConfig,
  models: MixtureModels,
  { placed, sources }: { placed: ReadonlySet<string>; sources: ReadonlySet<string> },
  report: Report,
): void {
  const modules = expertModules(definition);
  const homeless = (from: PlanModel, counts: (key: string) => boolean) => {
    const { before = [], layers = [], after = [] } = from.architecture.modules[0] ?? {};
    return [...before, ...layers.flat(), ...after]
      .filter(({ key, buffer }) => buffer !== true && counts(key) && !sources.has(key))
      .filter((spec) => ["own", "alias"].includes(resolveWeight(spec, from.model, from.architecture)?.via ?? ""))
      .map(({ name }) => name);
  };
  const isExperts = (key: string) => modules.has(moduleOf(key));
  const found = [
    { from: models.base, names: homeless(models.base, (key) => !placed.has(key) && !isExperts(key)) },
    ...[...config.experts, ...config.shared].map(({ model }) => {
      const from = models.of(model);
      return { from, names: homeless(from, isExperts) };
    }),
  ];
  const reported = new Set<PlanModel>();
  for (const { from, names } of found) {
    if (names.length === 0 || reported.has(from)) continue;
    reported.add(from);
    const message = `${definition.name} has no place for weights of the model: ${someOf(names)}`;
    report.error({ code: "no-place", message, at: from.at, model: from.model.name });
  }
  const unknown = unknownTensors(models.base.model, models.base.architecture);
  if (unknown.length === 0) return;
  const message = `tensors that ${models.base.architecture.family} does not have are left out: ${someOf(unknown)}`;
  report.warn({ code: "unknown-tensors", message, at: models.base.at, model: models.base.model.name });
}
