import type { Model } from "../model/types.ts";

/** A tensor's name around the number of its layer: `model.layers.3.mlp.weight` is layer 3 of `model.layers.`. */
export interface LayeredName {
  stack: string;
  layer: number;
  /** What follows the number, its dot included. */
  rest: string;
}

/** Layers that stand under one name, counted from 0 without gaps. */
export interface Stack {
  /** Ends with a dot: `model.layers.` */
  name: string;
  count: number;
  /** The key of config.json that holds the count; undefined where none does. */
  key: string | undefined;
  /** By what follows the layer's number, the layers that have it. */
  templates: ReadonlyMap<string, ReadonlySet<number>>;
}

const LAYER = /^(.*?)(?<![^.])(\d{1,5})(\..+)$/;

export function layeredName(name: string): LayeredName | undefined {
  const match = LAYER.exec(name);
  if (match === null) return undefined;
  return { stack: match[1] as string, layer: Number(match[2]), rest: match[3] as string };
}

/** Keys that hold numbers of layers: these names first, then any whose name says so. */
const LAYER_KEYS = ["num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_decoder_layers", "depth"];
const LAYER_KEY = /layers?$|depth|blocks?$/;

/** Layers beyond those that config.json counts: prediction layers, which belong to no stack. */
const MOST_EXTRA = 4;

/** Whether the key counts the layers of a stack that is so long, or a little longer. */
function counts(key: string, count: number, length: number): boolean {
  if (count === length) return count > 0;
  return LAYER_KEYS.includes(lastWord(key)) && count > 1 && count < length && count >= length - MOST_EXTRA;
}

function lastWord(key: string): string {
  return key.slice(key.lastIndexOf(".") + 1);
}

/**
 * The stacks of layers in models of one kind, the largest first. Numbered lists that are no layers (a projector of two
 * steps, experts within a layer) are not among them: a stack is as long as config.json says of one of its keys, or else
 * the longest list.
 */
export function findStacks(models: readonly Model[]): Stack[] {
  const found = new Map<string, Map<string, Set<number>>>();
  for (const name of models.flatMap(({ tensors }) => [...tensors.keys()])) {
    const parts = layeredName(name);
    if (parts === undefined) continue;
    const templates = found.get(parts.stack) ?? new Map<string, Set<number>>();
    found.set(parts.stack, templates);
    templates.set(parts.rest, (templates.get(parts.rest) ?? new Set()).add(parts.layer));
  }
  const keys = layerCounts(models[0]?.config ?? {});
  const stacks = [...found].flatMap(([name, templates]) => readStack(name, templates, keys) ?? []);
  const size = ({ templates }: Stack) => [...templates.values()].reduce((sum, layers) => sum + layers.size, 0);
  const sorted = stacks.toSorted((a, b) => size(b) - size(a));
  const known = sorted.filter(({ key }) => key !== undefined);
  return known.length > 0 ? known : sorted.slice(0, 1);
}

function readStack(
  name: string,
  templates: ReadonlyMap<string, ReadonlySet<number>>,
  keys: readonly (readonly [string, number])[],
): Stack | undefined {
  const present = new Set([...templates.values()].flatMap((layers) => [...layers]));
  const length = Math.max(...present) + 1;
  if (present.size !== length || name === "") return undefined;
  const fits = keys.filter(([key, count]) => counts(key, count, length));
  const words = name.split(".");
  const likeness = (key: string) => words.filter((word) => word.length > 2 && key.includes(word.slice(0, 6))).length;
  const [best] = fits.toSorted(
    ([a, x], [b, y]) => length - x - (length - y) || likeness(b) - likeness(a) || rank(a) - rank(b),
  );
  const count = best?.[1] ?? length;
  const within = [...templates].map(
    ([rest, layers]) => [rest, new Set([...layers].filter((one) => one < count))] as const,
  );
  return { name, count, key: best?.[0], templates: new Map(within.filter(([, layers]) => layers.size > 0)) };
}

function rank(key: string): number {
  const known = LAYER_KEYS.indexOf(lastWord(key));
  return (known < 0 ? LAYER_KEYS.length : known) + key.split(".").length / 10;
}

/** Every number of config.json whose key speaks of layers. */
function layerCounts(config: Readonly<Record<string, unknown>>, path = ""): [string, number][] {
  return Object.entries(config).flatMap(([key, value]): [string, number][] => {
    if (typeof value === "number") return LAYER_KEY.test(key) && Number.isInteger(value) ? [[path + key, value]] : [];
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject && path.length < 100 ? layerCounts(value as Record<string, unknown>, `${path}${key}.`) : [];
  });
}
