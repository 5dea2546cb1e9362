import { isConstant } from "../architecture/constants.ts";
import { matchesGlob } from "../architecture/glob.ts";
import { unknownTensors } from "../architecture/resolve.ts";
import type { WeightSpec } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import type { ConfigEdits } from "../model/config-edits.ts";
import { someOf } from "./copies.ts";
import type { PlanModel, PlanModels } from "./models.ts";
import type { RecipeModule, Slice, Source } from "./sources.ts";
import type { Target } from "./targets.ts";

/** A number between dots: the tensor belongs to a layer. */
const LAYER = /(^|\.)\d+\./;

/**
 * Tensors that the models store and no module of their family has: prediction layers beyond the last, old buffers, a
 * part that another library names. They go along to the output: merged by name where every source has them in one
 * shape, else copied from the base, else from the first model that has them. Where layers were stacked, those with the
 * number of a layer in their name are left out: the number would mean another layer.
 * @param made the weights that are merged, and what the recipe changes in config.json.
 */
export function carriedTargets(
  recipe: readonly RecipeModule[],
  models: PlanModels,
  made: { targets: readonly Target[]; structure: ConfigEdits },
  report: Report,
): Target[] {
  const { targets, structure } = made;
  const merged = structure.size === 0 ? mergedWhole(recipe, targets) : new Set<PlanModel>();
  const used = models.all.filter((model) => sourcesOf(recipe).some(({ from }) => from === model));
  const holders = new Map<string, PlanModel[]>();
  for (const one of [models.donor, ...used.filter((model) => model !== models.donor)]) {
    if (!used.includes(one) || merged.has(one)) continue;
    for (const name of unknownTensors(one.model, one.architecture)) {
      holders.set(name, [...(holders.get(name) ?? []), one]);
    }
  }
  if (holders.size === 0) return [];
  const { byName } = models.donor.architecture;
  const isLeftOut = (name: string) => structure.size > 0 && LAYER.test(name);
  const carried = [...holders].filter(([name]) => !isLeftOut(name));
  reportUnknown([...holders.keys()].filter(isLeftOut), holders, "left out, because layers are stacked", report);
  const isExpected = (name: string) => isConstant(name) || byName.some((pattern) => matchesGlob(pattern, name));
  const noted = carried.map(([name]) => name).filter((name) => !isExpected(name));
  reportUnknown(noted, holders, "carried along", report);
  const whole = wholeSlice(recipe);
  return carried.map(([name, having]) => target(name, having, recipe[0] as RecipeModule, whole));
}

/** Models all of whose tensors are weights that are merged: seen by counting, in a tenth of the time of a search. */
function mergedWhole(recipe: readonly RecipeModule[], targets: readonly Target[]): Set<PlanModel> {
  // Where a module has several slices, one tensor may be counted twice.
  if (recipe.some(({ slices }) => slices.length > 1)) return new Set();
  /** By the source's position: one model may be several sources. */
  const counts = new Map<PlanModel, number[]>();
  for (const { slice, inputs } of targets) {
    for (let i = 0; i < inputs.length; i++) {
      const from = slice.sources[i]?.from;
      if (from === undefined || inputs[i]?.found?.via !== "own") continue;
      const own = counts.get(from) ?? [];
      own[i] = (own[i] ?? 0) + 1;
      counts.set(from, own);
    }
  }
  return new Set([...counts].flatMap(([one, own]) => (own.includes(one.model.tensors.size) ? [one] : [])));
}

function sourcesOf(recipe: readonly RecipeModule[]): Source[] {
  return recipe.flatMap(({ slices }) => slices.flatMap(({ sources }) => sources));
}

/** The slice that holds every source of the recipe, if there is one. */
function wholeSlice(recipe: readonly RecipeModule[]): Slice | undefined {
  const all = new Set(sourcesOf(recipe).map(({ from }) => from));
  const slices = recipe.flatMap((module) => (module.slices.length === 1 ? module.slices : []));
  return slices.find(({ sources }) => sources.length >= all.size && sources.every(({ from }) => all.has(from)));
}

function target(name: string, having: readonly PlanModel[], module: RecipeModule, whole: Slice | undefined): Target {
  const spec: WeightSpec = { name, key: name, aliases: [], optional: true, buffer: isConstant(name) };
  const found = ({ model }: PlanModel) => {
    const view = model.tensors.get(name);
    return view && { view, name, via: "own" as const };
  };
  const slice = whole?.sources.every(({ from }) => having.includes(from)) === true && sameShapes(name, having);
  if (slice && whole !== undefined) {
    return {
      spec,
      module,
      slice: whole,
      t: 0,
      inputs: whole.sources.map(({ from }) => ({ name, found: found(from) })),
    };
  }
  const from = having[0] as PlanModel;
  const source: Source = { from, start: 0, parameters: new Map(), at: from.at, isBase: false };
  const copied: Slice = { sources: [source], layers: 0, parameters: new Map(), at: from.at, copied: true };
  return { spec, module, slice: copied, t: 0, inputs: [{ name, found: found(from) }] };
}

function sameShapes(name: string, models: readonly PlanModel[]): boolean {
  const shapes = models.map(({ model }) => String(model.tensors.get(name)?.shape));
  return new Set(shapes).size === 1;
}

function reportUnknown(
  names: readonly string[],
  holders: ReadonlyMap<string, readonly PlanModel[]>,
  what: string,
  report: Report,
): void {
  for (const one of new Set(names.flatMap((name) => holders.get(name)?.[0] ?? []))) {
    const own = names.filter((name) => holders.get(name)?.[0] === one);
    report.warn({
      code: "unknown-tensors",
      message: `tensors that ${one.architecture.family} does not have are ${what}: ${someOf(own)}`,
      at: one.at,
      model: one.model.name,
    });
  }
}
