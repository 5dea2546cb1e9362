import { readMergeConfig } from "../config/read.ts";
import type { MergeConfig } from "../config/types.ts";
import type { Report } from "../errors.ts";
import { type FloatDtype, torchName } from "../model/dtype.ts";
import { formatModelPath, type ModelRef } from "../model/ref.ts";
import { buildPlan } from "../plan/build.ts";
import { buildRawPlan } from "../plan/raw.ts";
import type { MergeOptions, MergePlan } from "../plan/types.ts";

/** The recipe that writes a model as it is with its adapter. @param dtype undefined: the model's own. */
export function appliedRecipe(ref: ModelRef, dtype: FloatDtype | undefined, report: Report): MergeConfig {
  const model = {
    model: { path: ref.model.path, ...(ref.model.revision === undefined ? {} : { revision: ref.model.revision }) },
    ...(ref.lora === undefined ? {} : { lora: formatModelPath(ref.lora) }),
    ...(ref.overrideArchitecture === undefined ? {} : { override_architecture: ref.overrideArchitecture }),
  };
  // JSON is YAML, too.
  const lines = ["merge_method: passthrough", `models: ${JSON.stringify([{ model }])}`];
  if (dtype !== undefined) lines.push(`dtype: ${torchName(dtype)}`);
  return readMergeConfig(`${lines.join("\n")}\n`, "adapter.yml", { strict: true }, report);
}

/**
 * A plan of that recipe. @param raw the model's tensors go by their names, and nothing but them is written. @throws SinterError
 * with everything that is wrong.
 */
export function planApplied(
  ref: ModelRef,
  dtype: FloatDtype | undefined,
  options: MergeOptions,
  name: string,
  report: Report,
  raw = false,
): MergePlan {
  const recipe = appliedRecipe(ref, dtype, report);
  const plan = raw ? buildRawPlan(recipe, options, "all", report) : buildPlan(recipe, options, name, report);
  report.throwIfErrors();
  return plan;
}
