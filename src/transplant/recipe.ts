import { readBoolean, readFields, readInteger, readNumber, readText } from "../config/fields.ts";
import { readModel } from "../config/model-ref.ts";
import { writeYaml } from "../config/write-yaml.ts";
import { parseYaml } from "../config/yaml.ts";
import type { Report } from "../errors.ts";
import { formatModelRef, type ModelRef } from "../model/ref.ts";
import { recipeOptions } from "../plan/recipe.ts";
import type { MergeOptions, Recipe } from "../plan/types.ts";
import {
  APPROXIMATION_METHODS,
  DEFAULT_TRANSPLANT,
  MATCHES,
  SUBWORD_METHODS,
  type TransplantOptions,
  WEIGHT_SCHEMES,
} from "./methods.ts";

/** What a transplant is made from: models as they were named, and what decides its numbers. */
export interface TransplantRecipe {
  model: ModelRef;
  donor: ModelRef;
  options: TransplantOptions;
}

export function transplantRecipe({ model, donor, options }: TransplantRecipe, merge: MergeOptions): Recipe {
  const text = writeYaml({
    model: formatModelRef(model),
    donor: formatModelRef(donor),
    method: options.method,
    k: options.k,
    cosine: options.cosine,
    weight_scheme: options.weightScheme,
    subword_method: options.subwordMethod,
    prefix_match: options.prefixMatch,
    byte_match: options.byteMatch,
    magikarp: options.magikarp,
    noise: options.noise,
    scale: options.scale,
  });
  return { program: "transplant", text, options: { ...recipeOptions(merge), seed: options.seed } };
}

const KEYS = [
  "model",
  "donor",
  "method",
  "k",
  "cosine",
  "weight_scheme",
  "subword_method",
  "prefix_match",
  "byte_match",
  "magikarp",
  "noise",
  "scale",
] as const;

/** @returns undefined where the text is no such recipe: then the report has an error. */
export function readTransplantRecipe({ text, options }: Recipe, report: Report): TransplantRecipe | undefined {
  const context = { report, strict: false };
  const root = parseYaml(text, "the recipe", report);
  const fields = root && readFields(root, "the recipe", KEYS, context);
  const model = fields?.model && readModel(fields.model.value, "model", context);
  const donor = fields?.donor && readModel(fields.donor.value, "donor", context);
  if (fields === undefined || model === undefined || donor === undefined) {
    if (report.errors.length === 0) {
      report.error({ code: "recipe", message: "the recipe of a transplant must name model and donor" });
    }
    return undefined;
  }
  const one = <T extends string>(name: (typeof KEYS)[number], known: readonly T[], usual: T): T => {
    const entry = fields[name];
    const value = entry && readText(entry.value, name, context);
    const found = known.find((candidate) => candidate === value);
    if (value !== undefined && found === undefined) {
      report.error({ code: "recipe", message: `${name} is none of ${known.join(", ")}`, at: entry?.value.at });
    }
    return found ?? usual;
  };
  const flag = (name: "cosine" | "magikarp") =>
    (fields[name] && readBoolean(fields[name].value, name, context)) ?? false;
  const number = (name: "noise" | "scale", usual: number) =>
    (fields[name] && readNumber(fields[name].value, name, context)) ?? usual;
  const usual = DEFAULT_TRANSPLANT;
  return {
    model: model.ref,
    donor: donor.ref,
    options: {
      method: one("method", APPROXIMATION_METHODS, usual.method),
      k: (fields.k && readInteger(fields.k.value, "k", context)) ?? usual.k,
      cosine: flag("cosine"),
      weightScheme: one("weight_scheme", WEIGHT_SCHEMES, usual.weightScheme),
      subwordMethod: one("subword_method", SUBWORD_METHODS, usual.subwordMethod),
      batch: usual.batch,
      prefixMatch: one("prefix_match", MATCHES, usual.prefixMatch),
      byteMatch: one("byte_match", MATCHES, usual.byteMatch),
      magikarp: flag("magikarp"),
      noise: number("noise", usual.noise),
      scale: number("scale", usual.scale),
      seed: options.seed,
    },
  };
}
