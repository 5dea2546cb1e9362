import type { Report } from "../errors.ts";
import type { Model } from "../model/types.ts";
import type { BoundModule } from "./bind.ts";
import { countOf, type LayerPosition } from "./config-values.ts";
import { ALWAYS, type ConditionalWeight, countWeights, sectionWeights } from "./entries.ts";
import { firstName, orderPrefixes, type SpelledWeight, spellings, spellWeight } from "./spelling.ts";
import { fillNumber, layerNames, numberNames, templateKey } from "./template.ts";
import type { ModuleSpec, Packing, WeightLayout, WeightSpec } from "./types.ts";

/** Beyond every real model; more is a slip in config.json or in a definition, and would fill the memory. */
const MAX_WEIGHTS = 500_000;
const MAX_LOOP = 100_000;
/** Characters of all names of a module: a hundred times those of a model of 100,000 tensors. */
const MAX_CHARACTERS = 200_000_000;

export interface ExpandedModule {
  spec: ModuleSpec;
  layout: WeightLayout;
  /** Usual names of weights that the model spells otherwise. */
  renamed: ReadonlyMap<string, string>;
}

/** A weight with its loops run through; only the number of the layer is open. */
interface LoopedWeight extends Omit<WeightSpec, "layer"> {
  inLayer: ConditionalWeight["inLayer"];
}

/**
 * The weights of a module, in the model's own spelling of names.
 * @param split take weights apart that the model stores packed; `always`: say of every weight how it would be packed.
 * @param shared layers that other models have: where they are the same, they are not made again.
 * @returns undefined where config.json lacks a count: then the report has an error.
 */
export function expandModule(
  bound: BoundModule,
  layers: number,
  model: Model,
  split: boolean | "always",
  shared: SharedLayers | undefined,
  report: Report,
): ExpandedModule | undefined {
  const { before = [], layer = [], after = [] } = bound.templates;
  const size = countWeights([...before, ...after]) + countWeights(layer) * Math.max(layers, 1);
  if (isTooLarge(size, bound, model, report)) return undefined;
  const present = ({ weight }: ConditionalWeight) => bound.hasHead || weight.role !== "head";
  const [outsideBefore, inSome, outsideAfter] = [before, layer, after].map((entries) =>
    sectionWeights(entries, bound.valueAt).filter(present),
  ) as [ConditionalWeight[], ConditionalWeight[], ConditionalWeight[]];
  const sections = [outsideBefore, inSome.filter((one) => firstLayer(one, layers) !== undefined), outsideAfter];
  const naming = startNaming(bound, sections.flat(), layers, model, split, report);
  const [first = [], repeated = [], last = []] = sections.map((weights) => nameWeights(weights, naming));
  if (naming.failed || isTooLarge(first.length + last.length + repeated.length * layers, bound, model, report)) {
    return undefined;
  }
  const spec: ModuleSpec = {
    name: bound.name,
    family: bound.family,
    subfolder: bound.templates.subfolder,
    before: first.map(outsideLayers),
    layers: sharedLayers(repeated, layers, shared),
    after: last.map(outsideLayers),
  };
  return { spec, layout: { kind: naming.kind, fixed: naming.fixed }, renamed: naming.renamed };
}

function isTooLarge(count: number, { name, family }: BoundModule, model: Model, report: Report): boolean {
  if (count <= MAX_WEIGHTS) return false;
  report.error({
    code: "too-many-weights",
    message: `${family} gives ${name} ${count} weights, and more than ${MAX_WEIGHTS} are not taken`,
    model: model.name,
  });
  return true;
}

/** What naming goes by, and what it finds out on the way. */
interface Naming {
  bound: BoundModule;
  model: Model;
  report: Report;
  layers: number;
  split: boolean | "always";
  spell: (weight: ConditionalWeight) => SpelledWeight;
  prefixes: BoundModule["prefixes"];
  loopCount: (name: string) => number;
  failed: boolean;
  /** Of the names made so far, in all layers. */
  characters: number;
  kind: WeightLayout["kind"];
  fixed: boolean;
  renamed: Map<string, string>;
}

function startNaming(
  bound: BoundModule,
  weights: readonly ConditionalWeight[],
  layers: number,
  model: Model,
  split: boolean | "always",
  report: Report,
): Naming {
  const probe = (template: string, weight: ConditionalWeight) =>
    firstName(template, firstLayer(weight, layers) ?? 0, layers);
  const prefixes = orderPrefixes(bound.prefixes, weights, probe, model);
  const counts = new Map<string, number>();
  const naming: Naming = {
    bound,
    model,
    report,
    layers,
    split,
    prefixes,
    spell: (weight) => {
      const layer = firstLayer(weight, layers) ?? 0;
      const isStored = (template: string) => model.tensors.has(firstName(template, layer, layers));
      const isPacked = split === "always" ? () => true : isStored;
      return spellWeight(weight, prefixes, bound.valueAt, isStored, isPacked);
    },
    loopCount: (name) => {
      const known = counts.get(name);
      if (known !== undefined) return known;
      const count = readLoopCount(name, bound, model, report);
      if (count === undefined) naming.failed = true;
      counts.set(name, count ?? 0);
      return count ?? 0;
    },
    failed: false,
    characters: 0,
    kind: undefined,
    fixed: false,
    renamed: new Map(),
  };
  return naming;
}

function firstLayer({ inLayer }: ConditionalWeight, layers: number): number | undefined {
  for (let layer = 0; layer < layers; layer++) if (inLayer({ layer, layers })) return layer;
  return undefined;
}

function readLoopCount(name: string, bound: BoundModule, model: Model, report: Report): number | undefined {
  const count = bound.templates.loops?.[name];
  const value = count === undefined ? undefined : countOf(count, bound.valueAt);
  if (value !== undefined && Number.isInteger(value) && value >= 0 && value <= MAX_LOOP) return value;
  const key = typeof count === "string" ? count : Array.isArray(count) ? count.join(" or ") : name;
  const given = value === undefined ? "is missing, and" : `is ${value}, and`;
  report.error({
    code: "loop-count",
    message: `${bound.path}${key} of config.json ${given} must be a number (0 to ${MAX_LOOP})`,
    model: model.name,
  });
  return undefined;
}

function nameWeights(weights: readonly ConditionalWeight[], naming: Naming): LoopedWeight[] {
  const named = new Map<string, LoopedWeight>();
  for (const one of weights) {
    const spelled = naming.spell(one);
    if (one.weight.packed !== undefined) {
      naming.kind = spelled.whole === undefined ? (naming.kind ?? "separate") : naming.split ? "split" : "packed";
      naming.fixed ||= one.weight.packed.only === true;
    }
    const looped =
      spelled.whole !== undefined && naming.split === false
        ? runLoops(spelled.whole.names, one.weight.packed?.name ?? "", one, undefined, naming)
        : runLoops(spelled.names, one.weight.name, one, spelled, naming);
    // A packed tensor comes once for each of its parts.
    for (const weight of looped) if (!named.has(weight.name)) named.set(weight.name, weight);
  }
  return withOwnKeys([...named.values()]);
}

/** Where what follows the layer's number does not tell weights apart, the whole name without it does. */
function withOwnKeys(weights: LoopedWeight[]): LoopedWeight[] {
  const counts = new Map<string, number>();
  for (const { key } of weights) counts.set(key, (counts.get(key) ?? 0) + 1);
  if (counts.size === weights.length) return weights;
  return weights.map((weight) => ((counts.get(weight.key) ?? 0) > 1 ? { ...weight, key: weight.name } : weight));
}

/** One weight for each combination of the loops' counters, the last one fastest. */
function runLoops(
  names: readonly [string, ...string[]],
  template: string,
  { weight, inLayer }: ConditionalWeight,
  spelled: SpelledWeight | undefined,
  naming: Naming,
): LoopedWeight[] {
  const { usual, whole } = spelled ?? { usual: undefined, whole: undefined };
  const fixed = [...names, templateKey(template), usual ?? "", ...(whole?.names ?? [])].map((text) =>
    fillNumber(text, "layers", naming.layers),
  );
  let runs: { texts: readonly string[]; counters: ReadonlyMap<string, number> }[] = [
    { texts: fixed, counters: new Map() },
  ];
  const loops = [...numberNames(template)].filter((number) => number !== "layer" && number !== "layers");
  if (!hasRoom(fixed, loops, naming)) return [];
  for (const number of loops) {
    const count = naming.loopCount(number);
    runs = runs.flatMap(({ texts, counters }) =>
      Array.from({ length: count }, (_, value) => ({
        texts: texts.map((text) => fillNumber(text, number, value)),
        counters: new Map([...counters, [number, value]]),
      })),
    );
  }
  const tie = weight.tie === undefined ? undefined : spellings(weight.tie, naming.prefixes)[0];
  return runs.map(({ texts, counters }) => {
    const name = texts[0] as string;
    const usualName = texts[names.length + 1] as string;
    if (usual !== undefined && usualName !== name) naming.renamed.set(usualName, name);
    return {
      name,
      key: texts[names.length] as string,
      aliases: texts.slice(1, names.length),
      tie,
      role: weight.role,
      optional: (weight.optional ?? false) || weight.buffer === true,
      buffer: weight.buffer,
      dtype: weight.dtype,
      packing: whole === undefined ? undefined : packingOf(texts.slice(names.length + 2), whole, counters, naming),
      inLayer,
    };
  });
}

/** Whether so many names, of such a length, are not too many. If they are, the report has an error. */
function hasRoom(texts: readonly string[], loops: readonly string[], naming: Naming): boolean {
  const count = loops.reduce((product, loop) => product * naming.loopCount(loop), 1);
  const length = texts.reduce((sum, text) => sum + text.length, 0);
  naming.characters += length * Math.max(count, 1) * Math.max(naming.layers, 1);
  const { bound, model, report } = naming;
  if (isTooLarge(count, bound, model, report)) naming.failed = true;
  else if (naming.characters > MAX_CHARACTERS) {
    naming.failed = true;
    report.error({
      code: "too-many-weights",
      message: `the names that ${bound.family} gives the weights of ${bound.name} have more than ${MAX_CHARACTERS} characters`,
      model: model.name,
    });
  }
  return !naming.failed;
}

function packingOf(
  names: readonly string[],
  { entries, rows }: NonNullable<SpelledWeight["whole"]>,
  counters: ReadonlyMap<string, number>,
  naming: Naming,
): Packing {
  if (entries === undefined) return { names, rows };
  return { names, entry: { index: counters.get(entries) ?? 0, count: naming.loopCount(entries) }, rows };
}

function outsideLayers({ inLayer: _, ...spec }: LoopedWeight): WeightSpec {
  return spec;
}

/** Weights of layers by all that they are made of. Most models of a merge have the same. */
export type SharedLayers = Map<string, readonly (readonly WeightSpec[])[]>;

function sharedLayers(
  weights: readonly LoopedWeight[],
  layers: number,
  shared: SharedLayers | undefined,
): readonly (readonly WeightSpec[])[] {
  if (shared === undefined) return inLayers(weights, layers);
  const key = JSON.stringify([layers, weights.map(({ inLayer, ...spec }) => [spec, layersOf(inLayer, layers)])]);
  const known = shared.get(key) ?? inLayers(weights, layers);
  shared.set(key, known);
  return known;
}

/** The layers that a weight is in, as text; empty where it is in all. */
function layersOf(inLayer: LoopedWeight["inLayer"], layers: number): string {
  if (inLayer === ALWAYS) return "";
  return Array.from({ length: layers }, (_, layer) => (inLayer({ layer, layers }) ? "1" : "0")).join("");
}

function inLayers(weights: readonly LoopedWeight[], layers: number): WeightSpec[][] {
  const makers = weights.map(layerSpec);
  return Array.from({ length: layers }, (_, layer) => {
    const at: LayerPosition = { layer, layers };
    const specs: WeightSpec[] = [];
    weights.forEach(({ inLayer }, i) => {
      if (inLayer(at)) specs.push((makers[i] as (layer: number) => WeightSpec)(layer));
    });
    return specs;
  });
}

/** The spec of any layer: what does not depend on the layer is made once. */
function layerSpec({ inLayer: _, ...spec }: LoopedWeight): (layer: number) => WeightSpec {
  const name = layerNames(spec.name);
  const aliases = spec.aliases.map(layerNames);
  const tie = spec.tie === undefined ? undefined : layerNames(spec.tie);
  const whole = spec.packing?.names.map(layerNames);
  return (layer) => ({
    name: name(layer),
    key: spec.key,
    aliases: aliases.map((alias) => alias(layer)),
    tie: tie?.(layer),
    role: spec.role,
    optional: spec.optional,
    buffer: spec.buffer,
    dtype: spec.dtype,
    packing: spec.packing && { ...spec.packing, names: whole?.map((one) => one(layer)) ?? [] },
    layer,
  });
}
