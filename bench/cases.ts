import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MergeMethod, ParameterScope } from "../src/methods/types.ts";

/** A merge to measure: a configuration file, and the model folders that it reads. */
export interface BenchCase {
  /** The method, and what is set besides. */
  name: string;
  /** The command that runs it; `merge` unless given. */
  command?: "moe";
  /** Standard deviation of the fine-tunes' distance from the base. */
  noise: number;
  /** Most that the merge may take as a multiple of the floor, on two cores. */
  target: number;
  config: string;
  inputs: readonly string[];
}

/** What parameters are set to; every other one has its default. */
const VALUES: Readonly<Record<string, number>> = { weight: 0.5, density: 0.5, t: 0.5 };

/** A way to run a method that costs as much as others of its kind: parameters on top of `VALUES`, and the target. */
interface Variant {
  target: number;
  set?: Readonly<Record<string, number | boolean>>;
}

/** Every element once. */
const ELEMENTWISE = 1.25;
/** A pass for sums, and one for the output. */
const REDUCING = 1.6;
/** A pass that chooses the largest elements, and one for the output. */
const SELECTING = 1.8;

const VARIANTS: Readonly<Record<string, readonly Variant[]>> = {
  passthrough: [{ target: ELEMENTWISE }],
  linear: [{ target: ELEMENTWISE }],
  task_arithmetic: [{ target: ELEMENTWISE }],
  nearswap: [{ target: ELEMENTWISE }],
  ram: [{ target: ELEMENTWISE }],
  dare_linear: [{ target: ELEMENTWISE, set: { rescale: false } }, { target: REDUCING }],
  ties: [{ target: SELECTING }],
  breadcrumbs: [{ target: SELECTING }],
  breadcrumbs_ties: [{ target: SELECTING }],
  sce: [{ target: REDUCING }, { target: SELECTING, set: { select_topk: 0.5 } }],
  arcee_fusion: [{ target: 3 }],
  della: [{ target: 5 }],
  della_linear: [{ target: 5 }],
};

/** The ways in which a method is measured. */
export function variantsOf(method: MergeMethod): readonly Variant[] {
  return VARIANTS[method.name] ?? [{ target: REDUCING }];
}

/**
 * Writes a configuration for a method: two fine-tunes and the base, or as many of them as it takes.
 * @param dir where the configuration goes. @param models folders: the base, then fine-tunes of one noise level.
 */
export function benchCase(
  method: MergeMethod,
  variant: Variant,
  noise: number,
  dir: string,
  models: { base: string; tunes: readonly string[] },
): BenchCase {
  const withBase = method.base === "required";
  const tunes = (withBase ? models.tunes : [...models.tunes, models.base]).slice(0, Math.min(3, method.models.max));
  const text = [
    `merge_method: ${method.name}`,
    ...(withBase ? [`base_model: ${JSON.stringify(models.base)}`] : []),
    "models:",
    ...tunes.flatMap((path) => [
      `  - model: ${JSON.stringify(path)}`,
      `    parameters: ${JSON.stringify(benchValues(method, "model"))}`,
    ]),
    `parameters: ${JSON.stringify({ ...benchValues(method, "global"), ...variant.set })}`,
    "dtype: bfloat16",
    "",
  ].join("\n");
  const settings = Object.entries(variant.set ?? {}).map(([key, value]) => `${key}=${value}`);
  const name = [method.name, ...settings].join(" ");
  const config = join(dir, `${name.replaceAll(/[^\w.]+/g, "-")}-${noise}.yml`);
  writeFileSync(config, text);
  return { name, noise, target: variant.target, config, inputs: withBase ? [...tunes, models.base] : tunes };
}

/** The parameters of one scope that a benchmark sets: those in `VALUES`, and defaults for the rest. */
export function benchValues(method: MergeMethod, scope: ParameterScope): Record<string, number | boolean> {
  const values: Record<string, number | boolean> = {};
  for (const spec of method.parameters) {
    if (spec.scope !== scope) continue;
    const value = VALUES[spec.name] ?? spec.default;
    if (value !== undefined) values[spec.name] = value;
    else if (spec.required) throw new Error(`the benchmark has no value for the parameter ${spec.name}`);
  }
  return values;
}
