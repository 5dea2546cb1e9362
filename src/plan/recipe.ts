import type { MultiMerge } from "../config/multi.ts";
import { normalForm } from "../config/normal-form.ts";
import type { MergeConfig, Scalar } from "../config/types.ts";
import { writeYaml } from "../config/write-yaml.ts";
import { findMethod } from "../methods/index.ts";
import type { Model } from "../model/types.ts";
import { DEFAULT_OPTIONS, type MergeOptions, type Recipe } from "./types.ts";

/** The recipe of one merge: its configuration in normal form, and the options that decide what is written. */
export function mergeRecipe(config: MergeConfig, options: MergeOptions): Recipe {
  return { program: "merge", text: normalText(config), options: recipeOptions(options) };
}

/** A configuration in normal form. */
export function normalText(config: MergeConfig): string {
  return writeYaml(normalForm(config, methodDefaults(config.mergeMethod)));
}

/** Several merges in normal form, as documents of one text. */
export function multiText(merges: readonly Pick<MultiMerge, "name" | "config">[]): string {
  return merges
    .map(({ name, config }) => writeYaml({ name, ...normalForm(config, methodDefaults(config.mergeMethod)) }))
    .join("---\n");
}

/** The parameters that a method's declaration gives a value where the configuration does not. */
function methodDefaults(name: string): Map<string, Scalar> {
  const defaults = new Map<string, Scalar>();
  for (const spec of findMethod(name)?.parameters ?? []) {
    if (spec.default !== undefined) defaults.set(spec.name, spec.default);
  }
  return defaults;
}

/** All that decides bytes of the output besides the configuration. Folders of this machine are not among them. */
export function recipeOptions(options: MergeOptions): Recipe["options"] {
  const { seed, outShardSize, safeSerialization, lmHead, allowCrimes, copyTokenizer, writeModelCard } = options;
  return { seed, outShardSize, safeSerialization, lmHead, allowCrimes, copyTokenizer, writeModelCard };
}

/** The recipe, which says so where a model's adapter was applied in a cache beforehand. */
export function withCached(recipe: Recipe, models: readonly Pick<Model, "cachedAs">[]): Recipe {
  const loraCache = models.find(({ cachedAs }) => cachedAs !== undefined)?.cachedAs;
  return loraCache === undefined ? recipe : { ...recipe, options: { ...recipe.options, loraCache } };
}

/** The options of `sinter merge` that differ from the defaults, as they are typed. */
export function optionText(options: Recipe["options"]): string {
  const words: string[] = [];
  if (options.seed !== DEFAULT_OPTIONS.seed) words.push(`--seed ${options.seed}`);
  if (options.outShardSize !== DEFAULT_OPTIONS.outShardSize) words.push(`--out-shard-size ${options.outShardSize}`);
  if (options.lmHead !== DEFAULT_OPTIONS.lmHead) words.push(`--lm-head ${options.lmHead}`);
  for (const [name, flag] of FLAGS) {
    const value = options[name];
    if (value !== DEFAULT_OPTIONS[name]) words.push(value ? `--${flag}` : `--no-${flag}`);
  }
  return words.map((word) => ` ${word}`).join("");
}

const FLAGS = [
  ["safeSerialization", "safe-serialization"],
  ["allowCrimes", "allow-crimes"],
  ["copyTokenizer", "copy-tokenizer"],
  ["writeModelCard", "write-model-card"],
] as const;
