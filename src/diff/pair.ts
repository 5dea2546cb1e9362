import { correspondingModule } from "../architecture/modules.ts";
import { resolveWeight, unknownTensors } from "../architecture/resolve.ts";
import type { Architecture, ModuleSpec, WeightSpec } from "../architecture/types.ts";
import { isFloat } from "../model/dtype.ts";
import { elementCount, sameShape, type TensorView } from "../model/types.ts";
import { counterparts } from "../plan/counterparts.ts";
import type { OpInput } from "../plan/types.ts";
import { comparable, type DiffModel } from "./models.ts";
import type { Pair, Pairing } from "./types.ts";
import { alignRows, type Vocabularies } from "./vocabulary.ts";

/** A stored tensor, or a part of one. */
interface Found {
  name: string;
  view: TensorView;
}

/** One weight in all models, before its shapes are looked at. */
interface Match {
  tensor: string;
  module: string;
  layer: string | undefined;
  /** Whether it has a row for each token. */
  hasTokens: boolean;
  found: readonly (Found | undefined)[];
}

interface Matches {
  list: Match[];
  onlyRight: string[];
}

/**
 * Finds out which tensors of two models (and of a base, the third) are the same weight: by their families' definitions
 * where those agree, else by name.
 */
export function pairTensors(models: readonly DiffModel[], vocabularies: Vocabularies): Pairing {
  const [left, right, base] = models as [DiffModel, DiffModel, DiffModel | undefined];
  const notes = [...vocabularies.notes];
  const known = comparable(left, right);
  if (!known && left.architecture !== undefined && right.architecture !== undefined) {
    notes.push(`${className(left)} and ${className(right)}: tensors go by their names`);
  }
  const { list, onlyRight } = known ? matchWeights(left, right, base) : matchNames(models);
  const pairs: Pair[] = [];
  const exact: Pair[] = [];
  const onlyLeft: string[] = [];
  const notCompared: { tensor: string; reason: string }[] = [];
  let withoutBase = 0;
  for (const match of list) {
    if (match.found[1] === undefined) {
      onlyLeft.push(match.tensor);
      continue;
    }
    const integers = exactPairOf(match, models);
    if (integers !== undefined) {
      exact.push(integers);
      continue;
    }
    const pair = pairOf(match, models, vocabularies);
    if (typeof pair === "string") notCompared.push({ tensor: match.tensor, reason: pair });
    else pairs.push(pair);
    if (base !== undefined && typeof pair !== "string" && pair.inputs.length < 3) withoutBase++;
  }
  if (withoutBase > 0)
    notes.push(`${withoutBase} of the tensors are not in ${base?.model.name}, or of another shape there`);
  return { pairs, exact, onlyLeft, onlyRight, notCompared, notes };
}

/** The pair of two tensors of the same kind of integers and of one shape, which lie in their files as they are. */
function exactPairOf({ tensor, module, layer, found }: Match, models: readonly DiffModel[]): Pair | undefined {
  const [left, right] = found as [Found, Found];
  const isPlain = ({ view }: Found) => view.strides === undefined && !isFloat(view.dtype);
  if (!isPlain(left) || !isPlain(right) || left.view.dtype !== right.view.dtype) return undefined;
  if (!sameShape(left.view.shape, right.view.shape)) return undefined;
  return pairOfAll({ tensor, module, layer }, [left, right], models);
}

function pairOfAll(
  names: Pick<Pair, "tensor" | "module" | "layer">,
  found: readonly Found[],
  models: readonly DiffModel[],
): Pair {
  const shape = found[0]?.view.shape ?? [];
  const inputs = found.map(
    ({ name, view }, i): OpInput => ({ view, tensor: name, model: models[i]?.model.name ?? "", position: i }),
  );
  return { ...names, elements: elementCount(shape), rows: shape[0] ?? 1, inputs };
}

function className({ model, architecture }: DiffModel): string {
  return model.architecture ?? architecture?.family ?? model.name;
}

function matchWeights(left: DiffModel, right: DiffModel, base: DiffModel | undefined): Matches {
  const list: Match[] = [];
  const used = new Set<string>();
  const [mine, theirs] = [left.architecture as Architecture, right.architecture as Architecture];
  const withBase = base !== undefined && comparable(left, base);
  for (const module of mine.modules) {
    const others = [right, withBase ? base : undefined].map((one) =>
      one?.architecture === undefined ? undefined : moduleIn(one.architecture, module, mine),
    );
    const label = mine.modules.length === 1 ? "" : `${module.name} `;
    for (const [layer, specs] of sectionsOf(module)) {
      const found = others.map((other) => counterparts(specs, other === undefined ? [] : sectionOf(other, layer)));
      for (const [i, spec] of specs.entries()) {
        const all = [
          resolved(spec, left),
          resolved(found[0]?.[i], right),
          ...(base === undefined ? [] : [resolved(found[1]?.[i], base)]),
        ];
        if (all[1] !== undefined) used.add(all[1].name);
        const [own, other] = all;
        // Where neither stores it, it is another weight, which is compared under that one's name.
        if (own === undefined || (own.via === "tie" && (other === undefined || other.via === "tie"))) continue;
        list.push({
          tensor: spec.name,
          module: label + moduleName(spec.key),
          layer: layer === undefined ? undefined : label + layer,
          hasTokens: spec.role !== undefined,
          found: all,
        });
      }
    }
  }
  const unknown = matchNames(
    [left, right, base].filter((one) => one !== undefined),
    unknownTensors(left.model, mine),
  );
  for (const { found } of unknown.list) if (found[1] !== undefined) used.add(found[1].name);
  return { list: [...list, ...unknown.list], onlyRight: unused(right, theirs, used) };
}

/** The module of another model that is this one: also where this one is the whole and that one a part, or the reverse. */
function moduleIn(other: Architecture, module: ModuleSpec, own: Architecture): ModuleSpec | undefined {
  const only = own.modules.length === 1 ? other.modules.find(({ family }) => family === module.family) : undefined;
  return correspondingModule(other, module) ?? only;
}

function sectionsOf(module: ModuleSpec): [number | undefined, readonly WeightSpec[]][] {
  return [
    [undefined, [...module.before, ...module.after]],
    ...module.layers.map((specs, layer): [number, readonly WeightSpec[]] => [layer, specs]),
  ];
}

function sectionOf(module: ModuleSpec, layer: number | undefined): readonly WeightSpec[] {
  return layer === undefined ? [...module.before, ...module.after] : (module.layers[layer] ?? []);
}

function resolved(spec: WeightSpec | undefined, { model, architecture }: DiffModel) {
  return spec && resolveWeight(spec, model, architecture as Architecture);
}

/** Stored tensors of the other model that no weight of this one went with. */
function unused({ model }: DiffModel, architecture: Architecture, used: ReadonlySet<string>): string[] {
  const packed = new Set(
    architecture.modules
      .flatMap(({ before, layers, after }) => [...before, ...layers.flat(), ...after])
      .flatMap(({ packing }) => packing?.names ?? []),
  );
  return [...model.tensors.keys()].filter((name) => !used.has(name) && !packed.has(name));
}

/** @param names only these of the first model. */
function matchNames(models: readonly DiffModel[], names?: readonly string[]): Matches {
  const [left, right] = models as [DiffModel, DiffModel];
  const find = ({ model }: DiffModel, name: string): Found | undefined => {
    const view = model.tensors.get(name);
    return view && { name, view };
  };
  const list = [...(names ?? left.model.tensors.keys())].map((tensor): Match => {
    const layer = /(?:^|\.)(\d+)\./.exec(tensor)?.[1];
    const found = models.map((model) => find(model, tensor));
    return { tensor, module: moduleName(behindLayer(tensor)), layer, hasTokens: false, found };
  });
  const onlyRight = [...right.model.tensors.keys()].filter((name) => !left.model.tensors.has(name));
  return { list, onlyRight };
}

/** `self_attn.q_proj`, `mlp.experts.*.up_proj`: what a weight is, whatever its layer and the number of its expert. */
function moduleName(key: string): string {
  return key.replace(/(^|\.)\d+(?=\.|$)/g, "$1*").replace(/\.weight$/, "");
}

/** What stands behind the number of the layer, where a name has one. */
function behindLayer(name: string): string {
  return name.replace(/^.*?(?:^|\.)\d+\./, "");
}

function pairOf(match: Match, models: readonly DiffModel[], vocabularies: Vocabularies): Pair | string {
  const { tensor, module, layer } = match;
  const [left, right, base] = match.found as [Found, Found, Found | undefined];
  if (!isFloat(left.view.dtype) || !isFloat(right.view.dtype)) return "not floating point numbers";
  const fits = ({ view }: Found) =>
    isFloat(view.dtype) && (sameShape(view.shape, left.view.shape) || (match.hasTokens && sameWidth(view, left.view)));
  if (!fits(right)) return `shapes [${left.view.shape.join(", ")}] and [${right.view.shape.join(", ")}]`;
  const used = base !== undefined && fits(base) ? [left, right, base] : [left, right];
  const whole = pairOfAll({ tensor, module, layer }, used, models);
  return match.hasTokens ? alignRows(whole, vocabularies) : whole;
}

function sameWidth(a: TensorView, b: TensorView): boolean {
  return a.shape.length === b.shape.length && a.shape.length > 0 && sameShape(a.shape.slice(1), b.shape.slice(1));
}
