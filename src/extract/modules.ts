import { isConv1d } from "../architecture/conv1d.ts";
import { resolveWeight, weightSpecs } from "../architecture/resolve.ts";
import type { Architecture, WeightSpec } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import { isFloat } from "../model/dtype.ts";
import type { Model, TensorView } from "../model/types.ts";
import type { DecomposedModule, ExtractionPlan, ExtractOptions, Pair } from "./types.ts";

/** A model and how its family lays it out. */
export interface Understood {
  model: Model;
  architecture: Architecture;
}

/** Tables of vectors that are looked up, besides the embedding of tokens. */
const LOOKED_UP =
  /(^|\.)(wpe|wte|embed_tokens|embed_positions|position_embeddings|token_type_embeddings|word_embeddings)$/;

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
  const biases = new Map(specs.filter(({ name }) => name.endsWith(".bias")).map((spec) => [spec.name, spec]));
  const grown = hasOtherRows(specs, pairOf);
  const embedLora = options.embedLora && !grown;
  if (grown && options.embedLora) {
    const message = "the models differ in their numbers of tokens: embeddings and heads are saved whole";
    report.warn({ code: "vocabulary-rows", message, model: tuned.model.name });
  }
  const plan = {
    modules: [] as DecomposedModule[],
    saved: [] as { name: string; view: TensorView; tunedName: string }[],
    toSave: new Set(options.saveModules),
    leftOut: [] as string[],
  };
  for (const spec of specs) {
    const { name } = spec;
    const own = resolveWeight(spec, tuned.model, tuned.architecture);
    if (name.endsWith(".bias") || own === undefined) continue;
    if (!name.endsWith(".weight")) {
      plan.leftOut.push(name);
      continue;
    }
    const path = name.slice(0, -".weight".length);
    const last = path.slice(path.lastIndexOf(".") + 1);
    const bias = biases.get(`${path}.bias`);
    const isLookedUp = spec.role === "embedding" || LOOKED_UP.test(path);
    const isExcluded = options.exclude.some((one) => one.test(path));
    if (!embedLora && (isLookedUp || spec.role === "head") && !isExcluded) plan.toSave.add(last);
    if (plan.toSave.has(path) || plan.toSave.has(last)) {
      save(plan.saved, [spec, bias], tuned);
      continue;
    }
    if (isExcluded || (options.include.length > 0 && !options.include.some((one) => one.test(path)))) continue;
    if (own.view.shape.length === 2 && isFloat(own.view.dtype)) {
      const weight = pairOf(spec);
      if (weight === undefined) plan.leftOut.push(name);
      else if (String(weight.base.shape) !== String(weight.tuned.shape)) reportShapes(weight, tuned, report);
      else {
        const isTransposed = isConv1d(tuned.model.config.model_type, path);
        plan.modules.push({ path, weight, bias: bias && pairOf(bias), isEmbedding: isLookedUp, isTransposed });
      }
    } else if (options.skipUndecomposable) plan.leftOut.push(name);
    else {
      plan.toSave.add(last);
      save(plan.saved, [spec, bias], tuned);
    }
  }
  checkFound(plan.modules, options, report);
  return {
    modules: plan.modules,
    saved: plan.saved,
    modulesToSave: [...plan.toSave],
    leftOut: plan.leftOut,
    fanInFanOut: plan.modules.some(({ isTransposed }) => isTransposed),
    grown,
    tied: tuned.architecture.tied,
  };
}

function pair(spec: WeightSpec, other: WeightSpec | undefined, tuned: Understood, base: Understood): Pair | undefined {
  const own = resolveWeight(spec, tuned.model, tuned.architecture);
  const found = other && resolveWeight(other, base.model, base.architecture);
  if (own === undefined || found === undefined) return undefined;
  return { name: spec.name, tuned: own.view, tunedName: own.name, base: found.view, baseName: found.name };
}

function hasOtherRows(specs: readonly WeightSpec[], pairOf: (spec: WeightSpec) => Pair | undefined): boolean {
  return specs.some((spec) => {
    const found = spec.role === undefined ? undefined : pairOf(spec);
    return found !== undefined && found.tuned.shape[0] !== found.base.shape[0];
  });
}

function save(
  saved: { name: string; view: TensorView; tunedName: string }[],
  specs: readonly (WeightSpec | undefined)[],
  { model, architecture }: Understood,
): void {
  for (const spec of specs) {
    const found = spec && resolveWeight(spec, model, architecture);
    if (spec && found) saved.push({ name: spec.name, view: found.view, tunedName: found.name });
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
