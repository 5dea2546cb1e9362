import { type Report, SinterError } from "../errors.ts";
import type { Model } from "../model/types.ts";
import { type BoundModule, bindModules, familyValues } from "./bind.ts";
import { countOf, effectiveKey, perLayerKeys } from "./config-values.ts";
import type { FamilyDefinition } from "./definition.ts";
import { type ExpandedModule, expandModule, type SharedLayers } from "./expand-module.ts";
import { BUILT_IN, type Families } from "./registry.ts";
import type { Architecture, ModuleSpec, WeightLayout, WeightSpec } from "./types.ts";

/** Beyond every real model; a larger number in config.json is a slip that would fill the memory. */
const MAX_LAYERS = 100_000;

export interface ExpandOptions {
  /** The families that are known; those that come with Sinter unless given. */
  families?: Families | undefined;
  /**
   * Take weights apart that the model stores several in one tensor. `always`: say of every weight where it would lie in
   * one, whatever the model stores.
   */
  split?: boolean | "always" | undefined;
  /** Layers of models that were expanded before: one map for all models of a merge makes the same ones once. */
  shared?: SharedLayers | undefined;
}

/**
 * How a model's family lays out its weights for this config.json, in the model's own spelling of names.
 * @returns undefined where no family fits or config.json lacks what the family needs: then the report has an error.
 */
export function expandArchitecture(
  model: Model,
  report: Report,
  options: ExpandOptions = {},
): Architecture | undefined {
  const families = options.families ?? BUILT_IN;
  const { model_type: modelType } = model.config;
  const family = families.find(model.architecture, modelType);
  if (family !== undefined) return expandDefinition(family, families.load(family), model, report, options);
  const described = [
    model.architecture === undefined ? "no architectures" : `architectures ["${model.architecture}"]`,
    modelType === undefined ? "no model_type" : `model_type ${JSON.stringify(modelType)}`,
  ];
  report.error({
    code: "unknown-architecture",
    message: `config.json has ${described.join(" and ")}: no family is described for that`,
    model: model.name,
    hint: `described families: ${families.names.join(", ")}`,
  });
  return undefined;
}

/** The same for a given definition. */
export function expandDefinition(
  family: string,
  definition: FamilyDefinition,
  model: Model,
  report: Report,
  { families = BUILT_IN, split = false, shared }: ExpandOptions = {},
): Architecture | undefined {
  const architecture = effectiveArchitecture(family, definition, model, report);
  const valueAt = familyValues(definition, architecture, model.config);
  const bound = bindModules(family, definition, valueAt, model, families, report);
  if (bound === undefined) return undefined;
  const expanded: ExpandedModule[] = [];
  for (const module of bound) {
    const layers = readLayerCount(module, model, report);
    const one = layers === undefined ? undefined : expandOne(module, layers, model, split, shared, report);
    if (one !== undefined) expanded.push(one);
  }
  if (expanded.length < bound.length) return undefined;
  const tie = effectiveKey(definition.config.tie, valueAt);
  return {
    family,
    architecture,
    modules: withTies(expanded),
    keys: {
      layerCount: byModule(bound, ({ templates, path, valueAt: at }) =>
        typeof templates.layer_count === "object" || typeof templates.layer_count === "string"
          ? path + effectiveKey(templates.layer_count, at)
          : undefined,
      ),
      vocabSize: effectiveKey(definition.config.vocab_size, valueAt),
      tie,
      perLayer: byModule(bound, (module, i) => perLayerKeys(module, expanded[i]?.spec.layers.length ?? 0)),
      layerNumbers: byModule(bound, ({ templates, path }) => (templates.layer_numbers ?? []).map((key) => path + key)),
    },
    // Where nothing says, the file does: a head that is not stored can only be the embedding.
    tied: valueAt(tie) === undefined ? lacksTied(expanded, model) : valueAt(tie) === true,
    layout: combinedLayout(expanded.map(({ layout }) => layout)),
    byName: definition.by_name ?? [],
    files: definition.files ?? [],
  };
}

function lacksTied(expanded: readonly ExpandedModule[], model: Model): boolean {
  const tied = expanded.flatMap(({ spec }) => [...spec.before, ...spec.after].filter(({ tie }) => tie !== undefined));
  return tied.length > 0 && !tied.some(({ name }) => model.tensors.has(name));
}

/** What tells classes of one family apart. */
const GENERATES = /ForCausalLM|LMHead|ForConditionalGeneration/;

/**
 * The class that conditions see: the model's own, or the family's usual one where the family does not know it. An
 * unknown class for another purpose (rewards, embeddings) stays itself: it has not the usual one's head.
 */
function effectiveArchitecture(family: string, definition: FamilyDefinition, model: Model, report: Report): string {
  const own = model.architecture;
  const usual = definition.architectures[0];
  if (own === undefined || definition.architectures.includes(own)) return own ?? usual;
  const isLikeUsual = GENERATES.test(own) || !GENERATES.test(usual);
  const reading = isLikeUsual ? `read as ${usual}` : `read as one of that family without the head of ${usual}`;
  report.warn({
    code: "unknown-class",
    message: `"${own}" is no class that ${family}.json describes: ${reading}`,
    model: model.name,
  });
  return isLikeUsual ? usual : own;
}

function expandOne(...args: Parameters<typeof expandModule>): ExpandedModule | undefined {
  try {
    return expandModule(...args);
  } catch (error) {
    if (!(error instanceof SinterError)) throw error;
    const [, , model, , , report] = args;
    for (const problem of error.problems) report.error({ model: model.name, ...problem });
    return undefined;
  }
}

function readLayerCount(module: BoundModule, model: Model, report: Report): number | undefined {
  const { templates, path, valueAt } = module;
  if (templates.layer_count === undefined) return 0;
  const count = countOf(templates.layer_count, valueAt);
  if (count !== undefined && Number.isInteger(count) && count >= 0 && count <= MAX_LAYERS) return count;
  const key = typeof templates.layer_count === "number" ? "layer_count" : effectiveKey(templates.layer_count, valueAt);
  const found = valueAt(key);
  const given = found === undefined ? "is missing" : `is ${JSON.stringify(found)}`;
  report.error({
    code: "layer-count",
    message: `${path}${key} of config.json ${given}, and must be a number of layers (0 to ${MAX_LAYERS})`,
    model: model.name,
  });
  return undefined;
}

/** The modules with ties that name weights as the model spells them. */
function withTies(expanded: readonly ExpandedModule[]): ModuleSpec[] {
  const renamed = new Map(expanded.flatMap((module) => [...module.renamed]));
  if (renamed.size === 0) return expanded.map(({ spec }) => spec);
  const follow = (spec: WeightSpec): WeightSpec =>
    spec.tie === undefined ? spec : { ...spec, tie: renamed.get(spec.tie) ?? spec.tie };
  return expanded.map(({ spec }) => ({ ...spec, before: spec.before.map(follow), after: spec.after.map(follow) }));
}

function byModule<T>(
  modules: readonly BoundModule[],
  read: (module: BoundModule, index: number) => T | undefined,
): Record<string, T> {
  const entries = modules.map((module, i) => [module.name, read(module, i)] as const);
  return Object.fromEntries(entries.filter((entry): entry is readonly [string, T & {}] => entry[1] !== undefined));
}

function combinedLayout(layouts: readonly WeightLayout[]): WeightLayout {
  const kinds = layouts.map(({ kind }) => kind);
  const kind = (["packed", "split", "separate"] as const).find((one) => kinds.includes(one));
  return { kind, fixed: layouts.some(({ fixed }) => fixed) };
}
