import { configValue } from "./config-values.ts";
import type { Condition, ConfigScalar } from "./definition.ts";

type Config = Readonly<Record<string, unknown>>;

/**
 * Which layers have a weight, as config.json says it where it does: by a list with an entry per layer, or a number of
 * first layers that differ; else by their numbers.
 * @returns undefined where all have it.
 */
export function layerCondition(layers: ReadonlySet<number>, count: number, config: Config): Condition | undefined {
  if (layers.size === count) return undefined;
  for (const [key, list] of layerLists(config, count)) {
    const inside = new Set(list.filter((_, layer) => layers.has(layer)));
    const outside = list.filter((_, layer) => !layers.has(layer));
    if (outside.some((value) => inside.has(value))) continue;
    const values = [...inside];
    return { [`${key}.\${layer}`]: values.length === 1 ? (values[0] as ConfigScalar) : values };
  }
  const first = Math.min(...layers);
  const last = Math.max(...layers);
  const withoutGap = last - first + 1 === layers.size;
  if (withoutGap && last === count - 1) return { layer: { from: keyOf(first, config) ?? first } };
  const upTo = first === 0 ? (keyOf(last + 1, config) ?? (last > 0 ? last + 1 : undefined)) : undefined;
  if (withoutGap && upTo !== undefined) return { layer: { below: upTo } };
  return { layer: layers.size === 1 ? first : [...layers].toSorted((a, b) => a - b) };
}

/** Lists of config.json (its parts included) that have so many entries, all plain values. */
function layerLists(config: Config, count: number, path = ""): [string, ConfigScalar[]][] {
  return Object.entries(config).flatMap(([key, value]): [string, ConfigScalar[]][] => {
    if (Array.isArray(value)) {
      const plain = value.length === count && value.every((one) => typeof one !== "object" || one === null);
      return plain ? [[path + key, value as ConfigScalar[]]] : [];
    }
    if (typeof value !== "object" || value === null || path.length > 100) return [];
    return layerLists(value as Config, count, `${path}${key}.`);
  });
}

/** A key that says how many of the first layers are unlike the others. */
const FIRST_LAYERS = ["first_k_dense_replace", "num_dense_layers", "moe_layer_start_index"];

function keyOf(value: number, config: Config): string | undefined {
  const keys = ["", "text_config."].flatMap((path) => FIRST_LAYERS.map((key) => path + key));
  return keys.find((key) => configValue(config, key) === value);
}

/** Keys that count what a loop runs over. */
const LOOP_KEYS = ["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_attention_heads"];

/** What a loop's count is called in config.json, else the number itself. */
export function loopCount(count: number, config: Config): number | string {
  const keys = ["", "text_config."].flatMap((path) => LOOP_KEYS.map((key) => path + key));
  return keys.find((key) => configValue(config, key) === count) ?? count;
}
