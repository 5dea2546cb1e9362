import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { configValue } from "../architecture/config-values.ts";
import { correspondingModule } from "../architecture/modules.ts";
import type { Report } from "../errors.ts";
import { applyEdits, type ConfigEdits } from "../model/config-edits.ts";
import { isFloat, torchName } from "../model/dtype.ts";
import { parseSpelt, writeSpelt } from "../model/python-json.ts";
import { elementCount, type Model } from "../model/types.ts";
import type { PlanModel } from "./models.ts";
import type { PlacelessOp } from "./place.ts";
import type { RecipeModule } from "./sources.ts";

type Json = Readonly<Record<string, unknown>>;

/** Layer counts, and lists with one entry for each layer, as the recipe's layers make them. */
export function structureEdits(recipe: readonly RecipeModule[], donor: PlanModel, report: Report): ConfigEdits {
  const edits = new Map<string, unknown>();
  const { keys, modules } = donor.architecture;
  for (const module of recipe) {
    const layers = module.slices.reduce((sum, slice) => sum + slice.layers, 0);
    const own = modules.find(({ name }) => name === module.name)?.layers.length;
    const countKey = keys.layerCount[module.name];
    if (countKey !== undefined && layers !== own) edits.set(countKey, layers);
    for (const key of keys.perLayer[module.name] ?? []) {
      const list = layerList(key, module, donor, report);
      if (list !== undefined) edits.set(key, list);
    }
    for (const key of keys.layerNumbers[module.name] ?? []) {
      const list = numberList(key, module, donor);
      if (list !== undefined) edits.set(key, list);
    }
  }
  return edits;
}

/** The list of layer numbers that `key` must hold: where those layers went; undefined where it stays as it is. */
function numberList(key: string, module: RecipeModule, donor: PlanModel): number[] | undefined {
  const own = configValue(donor.model.config, key);
  if (!Array.isArray(own)) return undefined;
  const list: number[] = [];
  let output = 0;
  for (const { sources, layers } of module.slices) {
    const source = sources[0];
    const listed = source && configValue(source.from.model.config, keyIn(source.from, key, module));
    for (let layer = 0; layer < layers; layer++, output++) {
      if (Array.isArray(listed) && listed.includes((source?.start ?? 0) + layer)) list.push(output);
    }
  }
  return isDeepStrictEqual(list, own) ? undefined : list;
}

/** The list that `key` must hold, from the models that the layers come from; undefined where it stays as it is. */
function layerList(key: string, module: RecipeModule, donor: PlanModel, report: Report): unknown[] | undefined {
  const own = perLayer(key, donor, module);
  if (own === undefined) return undefined;
  const list = module.slices.flatMap(({ sources, layers }) => {
    const source = sources[0];
    if (source === undefined) return [];
    const values = perLayer(key, source.from, module);
    if (values === undefined) {
      report.warn({
        code: "layer-list",
        message: `config.json has no ${key} for its layers: the entries of ${donor.model.name} are taken`,
        at: source.at,
        model: source.from.model.name,
      });
    }
    return Array.from({ length: layers }, (_, i) => {
      const layer = source.start + i;
      return values === undefined ? own[Math.min(layer, own.length - 1)] : values[layer];
    });
  });
  const unchanged = list.length === own.length && list.every((value, i) => isDeepStrictEqual(value, own[i]));
  return unchanged ? undefined : list;
}

/** The list at `key`, if there is one and it has an entry for each layer of the module. */
function perLayer(key: string, from: PlanModel, module: RecipeModule): readonly unknown[] | undefined {
  const value = configValue(from.model.config, keyIn(from, key, module));
  const layers = correspondingModule(from.architecture, module)?.layers.length;
  return Array.isArray(value) && value.length === layers && value.length > 0 ? value : undefined;
}

/** A key of the donor's config.json as another has it: a part of a larger model has its keys at the top. */
function keyIn(from: PlanModel, key: string, module: RecipeModule): string {
  const own = correspondingModule(from.architecture, module)?.name ?? module.name;
  const { perLayer, layerNumbers } = from.architecture.keys;
  const last = key.slice(key.lastIndexOf(".") + 1);
  const known = [...(perLayer[own] ?? []), ...(layerNumbers[own] ?? [])];
  return known.includes(key) ? key : (known.find((one) => one.slice(one.lastIndexOf(".") + 1) === last) ?? key);
}

/** dtype, vocabulary and tie, where the output differs from what the donor's config.json says. */
export function weightEdits(
  ops: readonly PlacelessOp[],
  donor: PlanModel,
  vocabularySize: number | undefined,
  tie: boolean | undefined,
): ConfigEdits {
  const edits = new Map<string, unknown>();
  const { config } = donor.model;
  const dtype = mainDtype(ops);
  const present = ["torch_dtype", "dtype"].filter((key) => key in config);
  for (const key of present.length > 0 ? present : ["dtype"]) {
    if (dtype !== undefined && config[key] !== dtype) edits.set(key, dtype);
  }
  const { keys, tied } = donor.architecture;
  if (vocabularySize !== undefined) edits.set(keys.vocabSize, vocabularySize);
  if (tie !== undefined && tie !== tied) edits.set(keys.tie, tie);
  return edits;
}

/** The name of the float dtype that most elements of the output have. */
function mainDtype(ops: readonly PlacelessOp[]): string | undefined {
  const counts = new Map<string, number>();
  for (const { dtype, shape } of ops) {
    if (isFloat(dtype)) counts.set(torchName(dtype), (counts.get(torchName(dtype)) ?? 0) + elementCount(shape));
  }
  return [...counts].toSorted(([, a], [, b]) => b - a)[0]?.[0];
}

/** The output's config.json: the donor's with the edits made, numbers spelt as they were. */
export function configText(donor: Model, edits: ConfigEdits): string {
  const all = new Map([...(donor.configEdits ?? []), ...edits]);
  return `${writeSpelt(applyEdits(withSpelling(donor), all))}\n`;
}

/**
 * config.json with every number as it is written there. Python tells `10000.0` from `10000`, and loaders that check
 * types refuse one for the other. Where the file cannot be read again this way, the values that were read serve.
 */
function withSpelling(model: Model): Json {
  try {
    return parseSpelt(readFileSync(join(model.dir, "config.json"), "utf8")) as Json;
  } catch {
    return model.config;
  }
}
