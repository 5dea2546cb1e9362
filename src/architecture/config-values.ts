import type { Comparison, Condition, ConfigScalar, Count, Keys, Requirement } from "./definition.ts";
import { fillNumber } from "./template.ts";

/** The value of a dotted key of config.json; undefined where there is none. */
export function configValue(config: Readonly<Record<string, unknown>>, key: string): unknown {
  let value: unknown = config;
  for (const part of key.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** Looks a key of config.json up, defaults included. */
export type ValueAt = (key: string) => unknown;

/** Of several keys the first that has a value, else the first. */
export function effectiveKey(keys: Keys, valueAt: ValueAt): string {
  if (typeof keys === "string") return keys;
  return keys.find((key) => valueAt(key) !== undefined) ?? keys[0];
}

/** What a count comes to; undefined where config.json does not say. A list stands for its length. */
export function countOf(count: Count, valueAt: ValueAt): number | undefined {
  if (typeof count === "number") return count;
  for (const one of typeof count === "string" ? [count] : count) {
    const [, key = one, offset] = /^(.*?)([+-]\d+)?$/.exec(one) ?? [];
    const value = valueAt(key);
    if (Array.isArray(value)) return value.length + Number(offset ?? 0);
    if (typeof value === "number") return value + Number(offset ?? 0);
  }
  return undefined;
}

/** A layer of a module, for conditions that depend on it. */
export interface LayerPosition {
  layer: number;
  layers: number;
}

/** Whether the condition says the same of every layer. */
export function isConstant(condition: Condition): boolean {
  const list = Array.isArray(condition) ? condition : [condition];
  return list.every((one) => Object.keys(one).every((key) => !/^layer([+-]\d+)?$|\$\{layer/.test(key)));
}

/**
 * Whether a condition holds. The keys `layer`, `layer+1` and so on mean the number of the layer; `${layer}` within a
 * key is that number.
 */
export function conditionHolds(condition: Condition, valueAt: ValueAt, at?: LayerPosition): boolean {
  if (Array.isArray(condition)) return condition.some((one) => conditionHolds(one, valueAt, at));
  return Object.entries(condition).every(([key, wanted]: [string, Requirement]) => {
    const value = requiredValue(key, valueAt, at);
    return isComparison(wanted) ? compares(wanted, value, valueAt, at) : equals(wanted, value);
  });
}

function requiredValue(key: string, valueAt: ValueAt, at: LayerPosition | undefined): unknown {
  const layer = /^layer([+-]\d+)?$/.exec(key);
  if (layer !== null) return at === undefined ? undefined : at.layer + Number(layer[1] ?? 0);
  return valueAt(at === undefined ? key : fillNumber(key, "layer", at.layer));
}

function isComparison(wanted: Requirement): wanted is Comparison {
  return typeof wanted === "object" && wanted !== null && !Array.isArray(wanted);
}

/** Of a list in config.json, any element counts; an absent key is null. */
function equals(wanted: ConfigScalar | readonly ConfigScalar[], found: unknown): boolean {
  const values: readonly unknown[] = Array.isArray(found) ? found : [found ?? null];
  return Array.isArray(wanted) ? wanted.some((one) => values.includes(one)) : values.includes(wanted);
}

function compares(wanted: Comparison, value: unknown, valueAt: ValueAt, at: LayerPosition | undefined): boolean {
  const { not, from, to, below, multiple_of: factor } = wanted;
  const number = typeof value === "number" ? value : Number.NaN;
  const bound = (count: Count): number => {
    const found = countOf(count, valueAt) ?? Number.NaN;
    return found < 0 ? found + (at?.layers ?? 0) : found;
  };
  return (
    (not === undefined || !equals(not, value)) &&
    (from === undefined || number >= bound(from)) &&
    (to === undefined || number <= bound(to)) &&
    (below === undefined || number < bound(below)) &&
    (factor === undefined || number % bound(factor) === 0) &&
    (wanted.in === undefined || listHas(wanted.in, value, valueAt)) &&
    (wanted.not_in === undefined || !listHas(wanted.not_in, value, valueAt))
  );
}

/** Whether the list in config.json has the value; an absent list has none. */
function listHas(keys: Keys, value: unknown, valueAt: ValueAt): boolean {
  const list = valueAt(effectiveKey(keys, valueAt));
  return Array.isArray(list) && list.includes(value);
}

/**
 * The keys of config.json that hold one entry per layer of a module: those the family declares, else `layer_types`
 * beside the number of layers, where they are lists as long as there are layers. (A list of another length means
 * something else.)
 */
export function perLayerKeys(
  module: {
    templates: { layer_count?: Count; per_layer?: readonly string[] };
    path: string;
    valueAt: ValueAt;
  },
  layerCount: number,
): string[] {
  const { templates, path, valueAt } = module;
  return (templates.per_layer ?? [`${parentPath(templates.layer_count, valueAt)}layer_types`]).flatMap((key) => {
    const value = valueAt(key);
    return Array.isArray(value) && value.length === layerCount ? [path + key] : [];
  });
}

function parentPath(count: Count | undefined, valueAt: ValueAt): string {
  if (count === undefined || typeof count === "number") return "";
  const key = effectiveKey(count, valueAt);
  return key.slice(0, key.lastIndexOf(".") + 1);
}
