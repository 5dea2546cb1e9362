import { isConv1d } from "../architecture/conv1d.ts";
import { partOf, resolveWeight, weightSpecs } from "../architecture/resolve.ts";
import type { Architecture, WeightSpec } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import { packedExperts } from "../lora/experts.ts";
import { isFloat } from "../model/dtype.ts";
import type { Model, TensorView } from "../model/types.ts";
import type { DecomposedModule, ExtractionPlan, ExtractOptions, Pair, SavedTensor } from "./types.ts";

/** A model and how its family lays it out. */
export interface Understood {
  model: Model;
  architecture: Architecture;
}

/** Tables of vectors that are looked up, besides the embedding of tokens. */
const LOOKED_UP =
  /(^|\.)(wpe|wte|embed_tokens|embed_positions|position_embeddings|token_type_embeddings|word_embeddings)$/;

/** Experts that have tensors of their own: loaders of PEFT adapters put their factors into one tensor. */
export const EXPERTS = "experts";
/** What sends tokens to experts. */
export const ROUTER = /(^|\.)(gate|router)$/;
const EXPERT = /(^|\.)experts\.\d+\./;

/**
 * Which modules of a fine-tune get factors, which are saved whole, and which are left out: as mergekit decides it, so
 * that its command lines mean the same.
 */
export function planModules(
  tuned: Understood,
  base: Understood,
  options: ExtractOptions,
  report: Report,
): ExtractionPlan {
  const specs = weightSpecs(tuned.architecture);
  // A key is the same in every layer.
  const place = ({ layer, key }: WeightSpec) => `${layer ?? ""} ${key}`;
  const inBase = new Map(weightSpecs(base.architecture).map((spec) => [place(spec), spec]));
  const pairOf = (spec: WeightSpec) => pair(spec, inBase.get(place(spec)), tuned, base);
  const vocabulary = new Set(specs.filter(({ role }) => role !== undefined).map(({ name }) => name));
  const biases = new Map(specs.filter(({ name }) => name.endsWith(".bias")).map((spec) => [spec.name, spec]));
  const grown = hasOtherRows(specs, pairOf);
  const embedLora = options.embedLora && !grown;
  if (grown && options.embedLora) {
    const message = "the models differ in their numbers of tokens: embeddings and heads are saved whole";
    report.warn({ code: "vocabulary-rows", message, model: tuned.model.name });
  }
  const plan = {
    modules: [] as DecomposedModule[],
    saved: [] as SavedTensor[],
    toSave: new Set(options.saveModules),
    leftOut: [] as string[],
  };
  for (const spec of specs) {
    const { name } = spec;
    const own = resolveWeight(spec, tuned.model, tuned.architecture);
    if (name.endsWith(".bias") || own === undefined) continue;
    const packed = isFloat(own.view.dtype) ? packedExperts(name, own.view, tuned.model.config.model_type) : undefined;
    if (packed !== undefined) {
      const weight = pairOf(spec);
      const path = name.replace(/\.weight$/, "");
      if ([path, packed.path].some((one) => plan.toSave.has(one) || plan.toSave.has(lastOf(one)))) {
        save(plan.saved, [spec], tuned, pairOf);
        continue;
      }
      if (!isTaken(path, options)) continue;
      if (weight === undefined) plan.leftOut.push(name);
      else if (String(weight.base.shape) !== String(weight.tuned.shape)) reportShapes(weight, tuned, report);
      else plan.modules.push(...packedModules(weight, packed));
      continue;
    }
    if (!name.endsWith(".weight")) {
      plan.leftOut.push(name);
      continue;
    }
    const path = name.slice(0, -".weight".length);
    const last = lastOf(path);
    const bias = biases.get(`${path}.bias`);
    const isLookedUp = spec.role === "embedding" || LOOKED_UP.test(path);
    const isExcluded = options.exclude.some((one) => one.test(path));
    if (!embedLora && (isLookedUp || spec.role === "head") && !isExcluded) plan.toSave.add(last);
    if (plan.toSave.has(path) || plan.toSave.has(last)) {
      save(plan.saved, [spec, bias], tuned, pairOf);
      continue;
    }
    if (!isTaken(path, options)) continue;
    const isTiedInBase = pairOf(spec)?.baseVia === "tie";
    // Factors of a head that follows its embedding would change both: whole, it is a head of its own.
    if (isTiedInBase && own.via !== "tie") {
      plan.toSave.add(last);
      save(plan.saved, [spec, bias], tuned, pairOf);
      continue;
    }
    // It has the change of the embedding that it follows: of two, loaders that tie them would apply both.
    if (isTiedInBase) continue;
    if (own.view.shape.length === 2 && isFloat(own.view.dtype)) {
      const weight = pairOf(spec);
      if (weight === undefined) plan.leftOut.push(name);
      else if (String(weight.base.shape) !== String(weight.tuned.shape)) reportShapes(weight, tuned, report);
      else {
        const isTransposed = isConv1d(tuned.model.config.model_type, path);
        const together = EXPERT.test(path) ? { word: EXPERTS } : ROUTER.test(path) ? { word: "routers" } : undefined;
        const own = { path, weight, bias: bias && pairOf(bias) };
        plan.modules.push({ ...own, isEmbedding: isLookedUp, isTransposed, together });
      }
    } else if (options.skipUndecomposable) plan.leftOut.push(name);
    else {
      plan.toSave.add(last);
      save(plan.saved, [spec, bias], tuned, pairOf);
    }
  }
  checkFound(plan.modules, options, report);
  return {
    modules: plan.modules,
    saved: plan.saved,
    modulesToSave: [...plan.toSave],
    leftOut: plan.leftOut,
    fanInFanOut: plan.modules.some(({ isTransposed, together }) => isTransposed && together?.parameter === undefined),
    grown,
    tied: tuned.architecture.tied && plan.saved.some(({ name }) => vocabulary.has(name)),
  };
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

function isTaken(path: string, { exclude, include }: ExtractOptions): boolean {
  if (exclude.some((one) => one.test(path))) return false;
  return include.length === 0 || include.some((one) => one.test(path));
}

/** Each expert's part of a parameter that packs them. */
function packedModules(
  weight: Pair,
  { path, parameter, experts, transposed }: NonNullable<ReturnType<typeof packedExperts>>,
): DecomposedModule[] {
  const [tuned, base] = [weight.tuned, weight.base];
  return Array.from({ length: experts }, (_, index) => {
    const part = (view: TensorView) => partOf(view, { entry: { index, count: experts } }) as TensorView;
    return {
      path: `${path}.${index}.${parameter}`,
      weight: { ...weight, tuned: part(tuned), base: part(base) },
      bias: undefined,
      isEmbedding: false,
      isTransposed: transposed,
      together: { word: weight.name, parameter: { path, name: parameter, entry: index, count: experts } },
    };
  });
}

function pair(spec: WeightSpec, other: WeightSpec | undefined, tuned: Understood, base: Understood): Pair | undefined {
  const own = resolveWeight(spec, tuned.model, tuned.architecture);
  const found = other && resolveWeight(other, base.model, base.architecture);
  if (own === undefined || found === undefined) return undefined;
  const { via: baseVia } = found;
  return { name: spec.name, tuned: own.view, tunedName: own.name, base: found.view, baseName: found.name, baseVia };
}

function hasOtherRows(specs: readonly WeightSpec[], pairOf: (spec: WeightSpec) => Pair | undefined): boolean {
  return specs.some((spec) => {
    const found = spec.role === undefined ? undefined : pairOf(spec);
    return found !== undefined && found.tuned.shape[0] !== found.base.shape[0];
  });
}

function save(
  saved: SavedTensor[],
  specs: readonly (WeightSpec | undefined)[],
  { model, architecture }: Understood,
  pairOf: (spec: WeightSpec) => Pair | undefined,
): void {
  for (const spec of specs) {
    const found = spec && resolveWeight(spec, model, architecture);
    if (spec && found) {
      saved.push({ name: spec.name, view: found.view, tunedName: found.name, pair: pairOf(spec) });
    }
  }
}

function reportShapes({ name, tuned, base }: Pair, { model }: Understood, report: Report): void {
  report.error({
    code: "shape-mismatch",
    message: `the models differ in shape: [${tuned.shape.join(", ")}], and [${base.shape.join(", ")}] in the base`,
    tensor: name,
    model: model.name,
    hint: "is --base-model the model that was fine-tuned?",
  });
}

function checkFound(modules: readonly DecomposedModule[], { include, exclude }: ExtractOptions, report: Report): void {
  if (modules.length > 0) return;
  const filtered = include.length + exclude.length > 0;
  report.error({
    code: "nothing-to-extract",
    message: "no module is left of which a low-rank adapter could be made",
    hint: filtered
      ? "look at --include-regex and --exclude-regex: they are searched in names like model.layers.0.mlp.up_proj"
      : undefined,
  });
}
