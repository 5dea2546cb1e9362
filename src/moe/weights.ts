import { resolveWeight } from "../architecture/resolve.ts";
import type { Architecture, WeightSpec } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import { type FloatDtype, isFloat } from "../model/dtype.ts";
import { counterparts } from "../plan/counterparts.ts";
import type { PlacelessOp } from "../plan/place.ts";
import { settleSharedWeights } from "../plan/shared-weights.ts";
import type { RecipeModule, Slice } from "../plan/sources.ts";
import type { Target } from "../plan/targets.ts";
import type { MergePlan } from "../plan/types.ts";
import type { MixtureDefinition } from "./definition.ts";
import type { MixtureModels } from "./models.ts";
import { copyOp, type ExpertWeight, packedOps, separateOps, zeroOp } from "./ops.ts";
import { standInWidths } from "./output.ts";
import { mixtureParts, type Part, zeroKeys } from "./parts.ts";
import { type RouterPlace, routerOp } from "./routers.ts";
import { checkPlaces, type DenseWeight } from "./sources.ts";
import { type Expert, isRandom, type MixtureConfig, type MixtureOptions } from "./types.ts";

type SourcedPart = Extract<Part, { source: string }>;

/** What the weights of a mixture are planned from. */
export interface Mixture {
  definition: MixtureDefinition;
  config: MixtureConfig;
  models: MixtureModels;
  /** The output's. */
  architecture: Architecture;
  /** What floats are written in. */
  dtype: FloatDtype;
  /** Elements of a hidden state. */
  width: number;
  dense: DenseWeight;
}

export interface MixtureWeights {
  ops: PlacelessOp[];
  /** Routers that wait for their numbers. */
  routers: RouterPlace[];
  tied: MergePlan["tied"];
  /** What config.json must say of the head; undefined where the output has none. */
  tie: boolean | undefined;
}

/** What the parts of the layers are planned with, and the routers that have come up so far. */
interface Planning {
  mixture: Mixture;
  options: MixtureOptions;
  parts: ReadonlyMap<string, Part>;
  routers: RouterPlace[];
  report: Report;
}

/** Every tensor of the output, in the order of its architecture. What is missing or has no place goes to the report. */
export function mixtureWeights(mixture: Mixture, options: MixtureOptions, report: Report): MixtureWeights {
  const parts = mixtureParts(mixture.definition, mixture.config.experts.length);
  const { before = [], layers = [], after = [] } = mixture.architecture.modules[0] ?? {};
  const isBases = ({ key }: WeightSpec) => !parts.has(key);
  const shared = settleSharedWeights(baseTargets(mixture, isBases), options.lmHead, report);
  const stored = new Map(shared.targets.map((target) => [target.spec.name, target]));
  const fromBase = (specs: readonly WeightSpec[]) =>
    specs.filter(isBases).flatMap((spec) => baseOp(stored.get(spec.name), mixture, report) ?? []);
  if (options.expertLayout === "packed") checkPacked(mixture, layers, parts, report);
  const planning: Planning = { mixture, options, parts, routers: [], report };
  const inLayers = layers.flatMap((specs, layer) => [...fromBase(specs), ...partOps(specs, layer, planning)]);
  const placed = new Set([...before, ...layers.flat(), ...after].filter(isBases).map(({ key }) => key));
  const sources = new Set([...parts.values()].flatMap((part) => ("source" in part ? [part.source] : [])));
  checkPlaces(mixture.definition, mixture.config, mixture.models, { placed, sources }, report);
  return {
    ops: [...fromBase(before), ...inLayers, ...fromBase(after)],
    routers: planning.routers,
    tied: shared.tied,
    tie: shared.tie,
  };
}

/** Reports a class that has no larger tensors for its experts. */
function checkPacked(
  { definition }: Mixture,
  layers: Architecture["modules"][number]["layers"],
  parts: ReadonlyMap<string, Part>,
  report: Report,
): void {
  const experts = layers.flat().filter(({ key }) => parts.get(key)?.kind === "expert");
  if (experts.some(({ packing }) => packing !== undefined)) return;
  report.error({
    code: "no-packed-layout",
    message: `${definition.architecture} loads experts from tensors of their own only`,
    hint: "leave --expert-layout out, or give separate",
  });
}

/** The weights that the base gives, as a merge of the base alone would have them: ties are settled as there. */
function baseTargets({ models, architecture }: Mixture, isBases: (spec: WeightSpec) => boolean): Target[] {
  const { base } = models;
  const [output, own] = [architecture.modules[0], base.architecture.modules[0]];
  if (output === undefined || own === undefined) return [];
  const source = { from: base, start: 0, parameters: new Map(), at: base.at, isBase: false };
  const slice: Slice = { sources: [source], layers: output.layers.length, parameters: new Map(), at: base.at };
  const module: RecipeModule = { name: output.name, family: output.family, slices: [slice], parameters: new Map() };
  const targets = (specs: readonly WeightSpec[], inputs: readonly WeightSpec[]) => {
    const wanted = specs.filter(isBases);
    return counterparts(wanted, inputs).map((input, i): Target => {
      const spec = wanted[i] as WeightSpec;
      const found = input && resolveWeight(input, base.model, base.architecture);
      return { spec, module, slice, t: 0, inputs: [{ name: input?.name ?? spec.name, found }] };
    });
  };
  return [
    ...targets(output.before, own.before),
    ...output.layers.flatMap((specs, layer) => targets(specs, own.layers[layer] ?? [])),
    ...targets(output.after, own.after),
  ];
}

/** @returns undefined for an optional weight that the base lacks, for one that is tied, and where something is wrong. */
function baseOp(target: Target | undefined, mixture: Mixture, report: Report): PlacelessOp | undefined {
  if (target === undefined) return undefined;
  const { spec } = target;
  const input = target.inputs[0];
  const dtype = spec.dtype ?? mixture.dtype;
  const { base } = mixture.models;
  if (input?.found !== undefined) {
    // A constant of the class stays as it is.
    const own = input.found.view.dtype;
    return copyOp(spec.name, base, input.found, spec.buffer === true && isFloat(own) ? own : dtype);
  }
  const rows = zeroRows(spec, mixture);
  if (rows !== undefined) return zeroOp(spec.name, [rows], dtype);
  if (spec.optional) return undefined;
  const missing = { code: "missing-tensor", message: "the model lacks a tensor", at: base.at, model: base.model.name };
  report.error({ ...missing, tensor: input?.name ?? spec.name });
  return undefined;
}

/** Elements of a bias that is zero where the base has none; undefined for any other weight. */
function zeroRows({ key, layer }: WeightSpec, { definition, models, dense }: Mixture): number | undefined {
  const beside = zeroKeys(definition.zeros).get(key);
  return beside === undefined || layer === undefined ? undefined : dense(models.base, layer, beside)?.view.shape[0];
}

/** Experts, shared experts and routers of one layer. */
function partOps(
  specs: readonly WeightSpec[],
  layer: number,
  { mixture, options, parts, routers, report }: Planning,
): PlacelessOp[] {
  const { config, dtype, width } = mixture;
  const ops: PlacelessOp[] = [];
  const weights: ExpertWeight[] = [];
  for (const spec of specs) {
    const part = parts.get(spec.key);
    if (part === undefined) continue;
    const written = spec.dtype ?? dtype;
    if (part.kind === "router" || part.kind === "shared gate") {
      const of = part.kind === "router" ? "experts" : "shared";
      const rows = config[of].length;
      ops.push(
        rows === 0
          ? zeroOp(spec.name, [1, width], written)
          : routerOp(spec.name, config.gateMode, [rows, width], written),
      );
      if (rows > 0 && !isRandom(config.gateMode)) routers.push({ tensor: spec.name, layer, of });
    } else {
      const expert = part.kind === "expert" ? config.experts[part.expert] : config.shared[0];
      if (expert === undefined) ops.push(...standIn(spec, part, layer, mixture));
      else weights.push(...expertWeight(spec, part, expert, layer, mixture, report));
    }
  }
  const experts = options.expertLayout === "packed" ? packedOps(weights, dtype, report) : separateOps(weights, dtype);
  return [...experts, ...ops];
}

/** At most one: a weight that the expert's model lacks is an error in the report. */
function expertWeight(
  spec: WeightSpec,
  { source, residual }: SourcedPart,
  expert: Expert,
  layer: number,
  { models, dense }: Mixture,
  report: Report,
): ExpertWeight[] {
  const from = models.of(expert.model);
  const found = dense(from, layer, source);
  if (found !== undefined) return [{ spec, expert, from, found, residual }];
  const message = `the model lacks ${source} of layer ${layer}, of which the output's ${spec.name} is made`;
  report.error({ code: "missing-tensor", message, at: expert.model.at, model: from.model.name });
  return [];
}

/** A weight of zeros for a shared expert that there is not: as the base's, but only as wide as it needs to be. */
function standIn(spec: WeightSpec, part: SourcedPart, layer: number, mixture: Mixture): PlacelessOp[] {
  const { definition, models, dense, dtype } = mixture;
  const [rows = 0, columns = 0] = dense(models.base, layer, part.source)?.view.shape ?? [];
  const [width = 0] = [...standInWidths(definition, models.base).values()];
  return [zeroOp(spec.name, part.residual ? [rows, width] : [width, columns], spec.dtype ?? dtype)];
}
