import { writeYaml, type YamlValue } from "../config/write-yaml.ts";
import { type Problem, SinterError } from "../errors.ts";
import { findMethod } from "../methods/index.ts";

/** A merge as the options of `mergekit-legacy` say it. */
export interface LegacyMerge {
  models: readonly string[];
  /** None, one for all, or one for each model in turn; the base comes last where it is not among them. */
  densities: readonly number[];
  weights: readonly number[];
  method: string;
  base: string | undefined;
  normalize: boolean;
  int8Mask: boolean;
  bf16: boolean;
  naiveCount: boolean;
}

/**
 * The configuration that the options stand for. A weight that is not given is 1.
 * @throws SinterError (exit code 2) where numbers and models do not go together.
 */
export function legacyText(merge: LegacyMerge): string {
  const { models, base, method } = merge;
  const all = base === undefined || models.includes(base) ? models : [...models, base];
  const known = new Set(findMethod(method)?.parameters.map(({ name }) => name));
  check(merge, all);
  const weights = method === "slerp" ? [] : merge.weights;
  const entries = all.map((model, i): YamlValue => {
    const weight = valueFor(weights, i) ?? (known.has("weight") ? 1 : undefined);
    const parameters = { density: valueFor(merge.densities, i), weight };
    const given = Object.values(parameters).some((value) => value !== undefined);
    return { model, parameters: given ? parameters : undefined };
  });
  return writeYaml({
    merge_method: method,
    base_model: base,
    models: entries,
    parameters: {
      t: method === "slerp" ? merge.weights[0] : undefined,
      // What the method does not have is passed on only where the user asked for it, to be pointed out.
      normalize: known.has("normalize") || !merge.normalize ? merge.normalize : undefined,
      int8_mask: merge.int8Mask || undefined,
      naive_count: merge.naiveCount || undefined,
    },
    dtype: merge.bf16 ? "bfloat16" : undefined,
  });
}

function valueFor(values: readonly number[], index: number): number | undefined {
  return values.length === 1 ? values[0] : values[index];
}

function check({ models, densities, weights, method }: LegacyMerge, all: readonly string[]): void {
  const problems: Problem[] = [];
  const problem = (message: string, hint?: string) => problems.push({ code: "option-value", message, hint });
  if (models.length === 0) problem("there is nothing to merge", "name the models, each with --merge");
  if (method === "slerp" && weights.length !== 1) {
    problem(`slerp takes one --weight, its place between the two models, and here are ${weights.length}`);
  }
  for (const [name, values] of [
    ["--weight", method === "slerp" ? [] : weights],
    ["--density", densities],
  ] as const) {
    if (values.length > Math.max(1, all.length)) {
      problem(
        `${name} is given ${values.length} times, for ${all.length} models`,
        "one for all, or one for each --merge",
      );
    }
  }
  if (problems.length > 0) throw new SinterError(problems, 2);
}
