import { conditionHolds, isConstant, type LayerPosition, type ValueAt } from "./config-values.ts";
import type { DetailedWeight, WeightEntry } from "./definition.ts";
import { expandBraces } from "./template.ts";

/** One weight of a definition: no brace lists, no groups, and its conditions as one question. */
export interface ConditionalWeight {
  weight: DetailedWeight;
  /** Whether a layer has it. */
  inLayer: (at: LayerPosition) => boolean;
}

/** How many weights entries stand for, loops and layers apart. Takes no memory for brace lists that multiply. */
export function countWeights(entries: readonly WeightEntry[]): number {
  return entries.reduce((sum, entry) => {
    if (typeof entry === "string") return sum + braceCount(entry);
    if (!("weights" in entry)) return sum + braceCount(entry.name);
    return sum + countWeights(entry.weights) + countWeights(entry.else ?? []);
  }, 0);
}

function braceCount(template: string): number {
  const lists = template.match(/(?<!\$)\{[^{}]*\}/g) ?? [];
  return lists.reduce((product, list) => product * list.split(",").length, 1);
}

export const ALWAYS = (): boolean => true;

/**
 * The weights of a section that the model has in some layer at least, or at all. Conditions that say the same of
 * every layer are settled here.
 */
export function sectionWeights(entries: readonly WeightEntry[], valueAt: ValueAt): ConditionalWeight[] {
  return flatten(entries, valueAt, ALWAYS);
}

function flatten(
  entries: readonly WeightEntry[],
  valueAt: ValueAt,
  inLayer: ConditionalWeight["inLayer"],
): ConditionalWeight[] {
  return entries.flatMap((entry) => {
    const when = typeof entry === "string" ? undefined : entry.when;
    const group = typeof entry === "object" && "weights" in entry ? entry : undefined;
    if (when !== undefined && !isConstant(when)) {
      const holds = (at: LayerPosition) => conditionHolds(when, valueAt, at);
      const yes = (at: LayerPosition) => inLayer(at) && holds(at);
      const no = (at: LayerPosition) => inLayer(at) && !holds(at);
      if (group === undefined) return singles(entry as DetailedWeight, yes);
      return [...flatten(group.weights, valueAt, yes), ...flatten(group.else ?? [], valueAt, no)];
    }
    const holds = when === undefined || conditionHolds(when, valueAt);
    if (group !== undefined) return flatten(holds ? group.weights : (group.else ?? []), valueAt, inLayer);
    return holds ? singles(entry as string | DetailedWeight, inLayer) : [];
  });
}

/** The weights of one entry, one for each combination of its brace lists. */
function singles(entry: string | DetailedWeight, inLayer: ConditionalWeight["inLayer"]): ConditionalWeight[] {
  const weight: DetailedWeight = typeof entry === "string" ? { name: entry } : entry;
  const aliases = (weight.aliases ?? []).map(expandBraces);
  const ties = weight.tie === undefined ? [] : expandBraces(weight.tie);
  return expandBraces(weight.name).map((name, i) => {
    const tie = ties[i] ?? ties[0];
    const single = { ...weight, name, aliases: aliases.flatMap((names) => names[i] ?? []) };
    return { weight: tie === undefined ? single : { ...single, tie }, inLayer };
  });
}
