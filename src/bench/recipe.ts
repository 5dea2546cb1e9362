import type { MergeMethod, ParameterScope, ParameterSpec } from "../methods/types.ts";
import type { BenchRequest, Recipe } from "./types.ts";
import { type BenchValues, benchValue } from "./values.ts";

/** Why a method does not go with the models. */
export interface Unfit {
  reason: string;
}

/** Which models a method merges, and which one is its base. */
interface Cast {
  merged: readonly string[];
  base?: string | undefined;
}

/** The configuration that a method is measured by, or why there is none. */
export function benchRecipe(
  method: MergeMethod,
  { models, base, values, dtype }: Pick<BenchRequest, "models" | "base" | "values" | "dtype">,
): Recipe | Unfit {
  const cast = castModels(method, models, base);
  if ("reason" in cast) return cast;
  const count = cast.merged.length;
  const missing = method.parameters.find((spec) => isMissing(method, spec, count, values));
  if (missing !== undefined) {
    return { reason: `needs a value for ${missing.name}: --set ${method.name}.${missing.name}=VALUE` };
  }
  const ofModels = parameters("model", method, count, values);
  return {
    merge_method: method.name,
    ...(cast.base === undefined ? {} : { base_model: cast.base }),
    models: cast.merged.map((model) => ({ model, ...ofModels })),
    ...parameters("global", method, count, values),
    ...(dtype === undefined ? {} : { dtype }),
  };
}

function castModels(method: MergeMethod, models: readonly string[], base: string | undefined): Cast | Unfit {
  // What has no special base is given none: it would count as one more model.
  if (method.base === "member") return counted(method, { merged: models });
  if (base !== undefined) return counted(method, { merged: models.filter((model) => model !== base), base });
  if (method.base === "optional") return counted(method, { merged: models });
  // Such a method goes from one model to another, and either may be the base.
  if (method.models.max === 1 && models.length === 2) return { merged: models.slice(1), base: models[0] };
  return { reason: "needs a base model: --base" };
}

function counted(method: MergeMethod, cast: Cast): Cast | Unfit {
  const count = cast.merged.length;
  const { min, max } = method.models;
  if (count >= min && count <= max) return cast;
  const wanted = `${min === max ? "" : count < min ? "at least " : "at most "}${count < min ? min : max}`;
  const noun = wanted.endsWith("1") ? "model" : "models";
  const besides = cast.base === undefined ? "" : " besides the base";
  const hint =
    method.base === "required" && max === 1 && count === 2
      ? "; without --base it goes from the first to the second"
      : "";
  return { reason: `merges ${wanted} ${noun}${besides}, not ${count}${hint}` };
}

function isMissing(method: MergeMethod, spec: ParameterSpec, models: number, values: BenchValues): boolean {
  return spec.required && spec.default === undefined && benchValue(method, spec, models, values) === undefined;
}

/** `{ parameters }` with those of one scope that have a value here; nothing where there are none. */
function parameters(
  scope: ParameterScope,
  method: MergeMethod,
  models: number,
  values: BenchValues,
): Pick<Recipe, "parameters"> {
  const set = method.parameters
    .filter((spec) => spec.scope === scope)
    .map((spec) => [spec.name, benchValue(method, spec, models, values)] as const)
    .filter((entry): entry is readonly [string, number | boolean] => entry[1] !== undefined);
  return set.length === 0 ? {} : { parameters: Object.fromEntries(set) };
}
