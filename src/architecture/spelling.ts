import type { Model } from "../model/types.ts";
import type { BoundModule } from "./bind.ts";
import { countOf, type ValueAt } from "./config-values.ts";
import type { Packed } from "./definition.ts";
import type { ConditionalWeight } from "./entries.ts";
import { fillNumber, fillPrefix, hasPrefix, numberNames } from "./template.ts";
import type { Packing } from "./types.ts";

type Prefixes = BoundModule["prefixes"];

/** A weight's names as templates whose prefixes are filled in; the model's own spelling of it first. */
export interface SpelledWeight {
  names: readonly [string, ...string[]];
  /** The first name if no model had a spelling of its own: ties name their weight by it. */
  usual: string;
  /** The tensor that holds the weight in a model that packs it; undefined in any other. */
  whole: SpelledWhole | undefined;
}

export interface SpelledWhole {
  names: readonly [string, ...string[]];
  /** The loop whose weights are the entries of the first dimension. */
  entries: string | undefined;
  rows: Packing["rows"];
}

/** Of weights that could show an unheard prefix, so many are looked for. */
const MOST_TRIED = 20;

/** The prefixes with the model's own first: the one under which it stores the first weight that it has at all. */
export function orderPrefixes(
  prefixes: Prefixes,
  weights: readonly ConditionalWeight[],
  probe: (template: string, weight: ConditionalWeight) => string,
  model: Model,
): Prefixes {
  for (const one of weights) {
    const templates = [one.weight.name, ...(one.weight.aliases ?? []), ...packedNames(one.weight.packed)];
    for (const template of templates.filter(hasPrefix)) {
      const own = prefixes.find(({ prefix }) => model.tensors.has(probe(fillPrefix(template, prefix), one)));
      if (own !== undefined) return [own, ...prefixes.filter((prefix) => prefix !== own)];
    }
  }
  const unheard = unheardPrefix(prefixes, weights, probe, model);
  return unheard === undefined ? prefixes : [unheard, ...prefixes];
}

/**
 * The prefix of a model that has none of the usual ones, such as what wrappers leave behind (`module.`, `_orig_mod.`):
 * what stands before a weight that exactly one stored tensor can be, and before most of the others.
 */
function unheardPrefix(
  prefixes: Prefixes,
  weights: readonly ConditionalWeight[],
  probe: (template: string, weight: ConditionalWeight) => string,
  model: Model,
): Prefixes[number] | undefined {
  const cores = weights
    .filter(({ weight }) => weight.name.startsWith("${prefix}") && weight.optional !== true && weight.buffer !== true)
    .slice(0, MOST_TRIED)
    .map((one) => probe(fillPrefix(one.weight.name, ""), one));
  const stored = [...model.tensors.keys()];
  for (const core of cores) {
    const [found, ...others] = stored.filter((name) => name === core || name.endsWith(`.${core}`));
    if (found === undefined || others.length > 0) continue;
    const prefix = found.slice(0, found.length - core.length);
    if (cores.filter((one) => model.tensors.has(prefix + one)).length <= cores.length / 2) continue;
    const [usual] = prefixes
      .filter((known) => prefix.endsWith(known.prefix))
      .toSorted((a, b) => b.prefix.length - a.prefix.length);
    const wrapper = usual === undefined ? "" : prefix.slice(0, prefix.length - usual.prefix.length);
    return { prefix, outside: wrapper + (usual?.outside ?? "") };
  }
  return undefined;
}

function packedNames(packed: Packed | undefined): readonly string[] {
  return packed === undefined ? [] : [packed.name, ...(packed.aliases ?? [])];
}

/**
 * How the model spells a weight: by which of its names, or packed in which tensor.
 * @param isStored whether the model stores a template's tensor, in the first layer that has the weight.
 * @param isPacked the same for the larger tensor that holds the weight.
 */
export function spellWeight(
  { weight }: ConditionalWeight,
  prefixes: Prefixes,
  valueAt: ValueAt,
  isStored: (template: string) => boolean,
  isPacked: (template: string) => boolean = isStored,
): SpelledWeight {
  const names = [weight.name, ...(weight.aliases ?? [])].flatMap((name) => spellings(name, prefixes));
  const usual = names[0] as string;
  const own = names.find(isStored);
  const whole = own === undefined ? spellWhole(weight.name, weight.packed, prefixes, valueAt, isPacked) : undefined;
  return { names: ownFirst(names, own), usual, whole };
}

function spellWhole(
  name: string,
  packed: Packed | undefined,
  prefixes: Prefixes,
  valueAt: ValueAt,
  isStored: (template: string) => boolean,
): SpelledWhole | undefined {
  if (packed === undefined) return undefined;
  const names = packedNames(packed).flatMap((one) => spellings(one, prefixes));
  const own = names.find(isStored);
  if (own === undefined) return undefined;
  const inWhole = numberNames(packed.name);
  const entries = [...numberNames(name)].find((number) => !inWhole.has(number));
  return { names: ownFirst(names, own), entries, rows: rowsOf(packed, valueAt) };
}

function rowsOf({ part, parts }: Packed, valueAt: ValueAt): Packing["rows"] {
  if (part === undefined || parts === undefined) return undefined;
  const sizes = parts.map((size) => countOf(size, valueAt) ?? Number.NaN);
  const upTo = (end: number) => sizes.slice(0, end).reduce((sum, size) => sum + size, 0);
  return { from: upTo(part), to: upTo(part + 1), of: upTo(sizes.length) };
}

function ownFirst(names: readonly string[], own: string | undefined): readonly [string, ...string[]] {
  const first = own ?? (names[0] as string);
  return [first, ...names.filter((name) => name !== first)];
}

/** The template with each prefix; a name without `${prefix}` has what a prefix says of such. */
export function spellings(template: string, prefixes: Prefixes): string[] {
  const filled = hasPrefix(template)
    ? prefixes.map(({ prefix }) => fillPrefix(template, prefix))
    : prefixes.map(({ outside }) => outside + template);
  return [...new Set(filled)];
}

/** The template's first name: each loop at 0, in the given layer. */
export function firstName(template: string, layer: number, layers: number): string {
  let name = fillNumber(fillNumber(template, "layer", layer), "layers", layers);
  for (const number of numberNames(name)) name = fillNumber(name, number, 0);
  return name;
}
