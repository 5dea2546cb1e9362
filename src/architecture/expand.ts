import type { Report } from "../errors.ts";
import type { Model } from "../model/types.ts";
import { conditionHolds, configValue, perLayerKeys } from "./config-values.ts";
import type { DetailedWeight, FamilyDefinition, ModuleTemplate, WeightTemplate } from "./definition.ts";
import { familyNames, findFamily, loadFamily } from "./registry.ts";
import { expandBraces, fillLayer, fillPrefix, hasPrefix } from "./template.ts";
import type { Architecture, ModuleSpec, WeightSpec } from "./types.ts";

/** Beyond every real model; a larger number in config.json is a slip that would fill the memory. */
const MAX_LAYERS = 100_000;

/**
 * How a model's family lays out its weights for this config.json, in the model's own spelling of names.
 * @returns undefined where no family fits or config.json lacks what the family needs: then the report has an error.
 */
export function expandArchitecture(model: Model, report: Report): Architecture | undefined {
  const modelType = configValue(model.config, "model_type");
  const family = findFamily(model.architecture, modelType);
  if (family !== undefined) return expandDefinition(family, loadFamily(family), model, report);
  const described = [
    model.architecture === undefined ? "no architectures" : `architectures ["${model.architecture}"]`,
    modelType === undefined ? "no model_type" : `model_type ${JSON.stringify(modelType)}`,
  ];
  report.error({
    code: "unknown-architecture",
    message: `config.json has ${described.join(" and ")}: no family is described for that`,
    model: model.name,
    hint: `described families: ${familyNames.join(", ")}`,
  });
  return undefined;
}

/** The same for a given definition. */
export function expandDefinition(
  family: string,
  definition: FamilyDefinition,
  model: Model,
  report: Report,
): Architecture | undefined {
  const architecture = effectiveArchitecture(family, definition, model, report);
  const valueAt = (key: string): unknown =>
    key === "architectures" ? architecture : (configValue(model.config, key) ?? definition.config.defaults[key]);
  const layerCounts = readLayerCounts(definition, valueAt, model, report);
  if (layerCounts === undefined) return undefined;
  const modules = Object.entries(definition.modules).map(([name, module]) =>
    expandModule(name, module, layerCounts.get(name) ?? 0, valueAt, model),
  );
  return {
    family,
    architecture,
    modules,
    keys: {
      layerCount: Object.fromEntries(
        Object.entries(definition.modules).map(([name, module]) => [name, module.layer_count]),
      ),
      vocabSize: definition.config.vocab_size,
      tie: definition.config.tie,
      perLayer: Object.entries(definition.modules).flatMap(([name, module]) =>
        perLayerKeys(model.config, module, layerCounts.get(name) ?? 0),
      ),
    },
    tied: valueAt(definition.config.tie) === true,
    ignored: (definition.ignored ?? []).map((pattern) => new RegExp(pattern)),
  };
}

/** Whether two models can be merged weight by weight: one family, and the same class of it. */
export function familiesAgree(a: Architecture, b: Architecture): boolean {
  return a.family === b.family && a.architecture === b.architecture;
}

/** The class that conditions see: the model's own, or the family's usual one where the family does not know it. */
function effectiveArchitecture(family: string, definition: FamilyDefinition, model: Model, report: Report): string {
  const own = model.architecture;
  const usual = definition.architectures[0];
  if (own === undefined || definition.architectures.includes(own)) return own ?? usual;
  report.warn({
    code: "unknown-class",
    message: `"${own}" is no class that ${family}.json describes: read as ${usual}`,
    model: model.name,
  });
  return usual;
}

function readLayerCounts(
  definition: FamilyDefinition,
  valueAt: (key: string) => unknown,
  model: Model,
  report: Report,
): Map<string, number> | undefined {
  const counts = new Map<string, number>();
  for (const [name, { layer_count: key }] of Object.entries(definition.modules)) {
    const count = valueAt(key);
    if (typeof count === "number" && Number.isInteger(count) && count >= 0 && count <= MAX_LAYERS) {
      counts.set(name, count);
      continue;
    }
    const given = count === undefined ? "is missing" : `is ${JSON.stringify(count)}`;
    report.error({
      code: "layer-count",
      message: `${key} of config.json ${given}, and must be a number of layers (0 to ${MAX_LAYERS})`,
      model: model.name,
    });
  }
  return counts.size === Object.keys(definition.modules).length ? counts : undefined;
}

function expandModule(
  name: string,
  module: ModuleTemplate,
  layerCount: number,
  valueAt: (key: string) => unknown,
  model: Model,
): ModuleSpec {
  const applying = (templates: readonly WeightTemplate[]) => templates.flatMap((one) => singleWeights(one, valueAt));
  const sections = { before: applying(module.before), layer: applying(module.layer), after: applying(module.after) };
  const prefixes = orderPrefixes(module.prefixes ?? [""], Object.values(sections).flat(), model);
  const named = (weights: readonly DetailedWeight[]) => weights.map((weight) => nameWeight(weight, prefixes));
  return expandSections(name, layerCount, named(sections.before), named(sections.layer), named(sections.after));
}

/** What was expanded last. Models that are merged are mostly alike, and share one list of weights instead of one each. */
let last: { key: string; module: ModuleSpec } | undefined;

function expandSections(
  name: string,
  layerCount: number,
  before: readonly WeightSpec[],
  layer: readonly WeightSpec[],
  after: readonly WeightSpec[],
): ModuleSpec {
  const key = JSON.stringify([name, layerCount, before, layer, after]);
  if (last?.key === key) return last.module;
  const layers = Array.from({ length: layerCount }, (_, index) => layer.map((spec) => inLayer(spec, index)));
  last = { key, module: { name, before, layers, after } };
  return last.module;
}

/** The weights of one entry, one for each combination of its brace lists; none where its condition does not hold. */
function singleWeights(template: WeightTemplate, valueAt: (key: string) => unknown): DetailedWeight[] {
  const weight: DetailedWeight = typeof template === "string" ? { name: template } : template;
  if (weight.when !== undefined && !conditionHolds(weight.when, valueAt)) return [];
  const aliases = (weight.aliases ?? []).map(expandBraces);
  return expandBraces(weight.name).map((name, i) => ({
    ...weight,
    name,
    aliases: aliases.flatMap((names) => names[i] ?? []),
  }));
}

/** The prefixes with the model's own first: the one under which it stores the first weight that it has at all. */
function orderPrefixes(
  prefixes: readonly string[],
  weights: readonly DetailedWeight[],
  model: Model,
): readonly string[] {
  if (prefixes.length === 1) return prefixes;
  for (const { name } of weights.filter((weight) => hasPrefix(weight.name))) {
    const own = prefixes.find((prefix) => model.tensors.has(fillLayer(fillPrefix(name, prefix), 0)));
    if (own !== undefined) return [own, ...prefixes.filter((prefix) => prefix !== own)];
  }
  return prefixes;
}

/** Fills in the prefixes: the first gives the name, the others are aliases. */
function nameWeight(weight: DetailedWeight, prefixes: readonly string[]): WeightSpec {
  const spellings = (template: string) =>
    hasPrefix(template) ? prefixes.map((prefix) => fillPrefix(template, prefix)) : [template];
  const [name = weight.name, ...others] = spellings(weight.name);
  return {
    name,
    aliases: [...others, ...(weight.aliases ?? []).flatMap(spellings)],
    tie: weight.tie === undefined ? undefined : spellings(weight.tie)[0],
    role: weight.role,
    optional: weight.optional ?? false,
  };
}

function inLayer(spec: WeightSpec, layer: number): WeightSpec {
  return {
    ...spec,
    name: fillLayer(spec.name, layer),
    aliases: spec.aliases.map((alias) => fillLayer(alias, layer)),
    tie: spec.tie === undefined ? undefined : fillLayer(spec.tie, layer),
    layer,
  };
}
