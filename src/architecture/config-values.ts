import type { Condition, ConfigScalar } from "./definition.ts";

/** The value of a dotted key of config.json; undefined where there is none. */
export function configValue(config: Readonly<Record<string, unknown>>, key: string): unknown {
  let value: unknown = config;
  for (const part of key.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** Whether every key has the value, or one of the values, that the condition names. Of a list, any element counts. */
export function conditionHolds(condition: Condition, valueAt: (key: string) => unknown): boolean {
  return Object.entries(condition).every(([key, wanted]) => {
    const value = valueAt(key) ?? null;
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    const accepted: readonly ConfigScalar[] = Array.isArray(wanted) ? wanted : [wanted];
    return accepted.some((one) => values.includes(one));
  });
}

/**
 * The keys of config.json that hold one entry per layer: those the family declares, else `layer_types` beside the
 * number of layers, where they are lists as long as there are layers. (A list of another length means something else.)
 */
export function perLayerKeys(
  config: Readonly<Record<string, unknown>>,
  module: { layer_count: string; per_layer?: readonly string[] },
  layerCount: number,
): string[] {
  const parent = module.layer_count.slice(0, module.layer_count.lastIndexOf(".") + 1);
  const declared = module.per_layer ?? [`${parent}layer_types`];
  return declared.filter((key) => {
    const value = configValue(config, key);
    return Array.isArray(value) && value.length === layerCount;
  });
}
