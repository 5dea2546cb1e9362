import { modelValue } from "../config/normal-form.ts";
import { writeYaml, type YamlValue } from "../config/write-yaml.ts";
import { torchName } from "../model/dtype.ts";
import { recipeOptions } from "../plan/recipe.ts";
import type { Recipe } from "../plan/types.ts";
import type { Expert, MixtureConfig, MixtureOptions } from "./types.ts";

/** What a mixture was made from. */
export function mixtureRecipe(config: MixtureConfig, options: MixtureOptions): Recipe {
  const { expertLayout } = options;
  return { program: "moe", text: mixtureText(config), options: { ...recipeOptions(options), expertLayout } };
}

/** A configuration of a mixture with everything spelt out; reading it gives the same one. */
export function mixtureText(config: MixtureConfig): string {
  return writeYaml({
    base_model: modelValue(config.baseModel),
    gate_mode: config.gateMode,
    dtype: config.dtype === undefined ? null : torchName(config.dtype),
    experts_per_token: config.expertsPerToken,
    architecture: config.architecture?.name ?? null,
    experts: config.experts.map(expertValue),
    shared_experts: config.shared.map(expertValue),
  });
}

function expertValue({ model, positive, negative, noise, residual }: Expert): YamlValue {
  return {
    source_model: modelValue(model),
    positive_prompts: [...positive],
    negative_prompts: [...negative],
    noise_scale: noise,
    residual_scale: residual,
  };
}
