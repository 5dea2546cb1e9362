import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MergeMethod, ParameterScope } from "../src/methods/types.ts";

/** A merge to measure: a configuration file, and the model folders that it reads. */
export interface BenchCase {
  method: string;
  /** Standard deviation of the fine-tunes' distance from the base. */
  noise: number;
  config: string;
  inputs: readonly string[];
}

/** What parameters are set to; every other one has its default. */
const VALUES: Readonly<Record<string, number>> = { weight: 0.5, density: 0.5, t: 0.5 };

/** Most that a merge may take as a multiple of the floor, on two cores. */
export function targetRatio(method: string): number {
  return ["linear", "task_arithmetic", "passthrough"].includes(method) ? 1.5 : 2.5;
}

/**
 * Writes a configuration for a method: two fine-tunes, or as many as it takes, and the base where it needs one.
 * @param dir where the configuration goes. @param models folders: the base, then fine-tunes of one noise level.
 */
export function benchCase(
  method: MergeMethod,
  noise: number,
  dir: string,
  models: { base: string; tunes: readonly string[] },
): BenchCase {
  const count = Math.max(method.models.min, Math.min(2, method.models.max));
  const tunes = models.tunes.slice(0, count);
  const withBase = method.base === "required";
  const text = [
    `merge_method: ${method.name}`,
    ...(withBase ? [`base_model: ${JSON.stringify(models.base)}`] : []),
    "models:",
    ...tunes.flatMap((path) => [
      `  - model: ${JSON.stringify(path)}`,
      `    parameters: ${JSON.stringify(benchValues(method, "model"))}`,
    ]),
    `parameters: ${JSON.stringify(benchValues(method, "global"))}`,
    "dtype: bfloat16",
    "",
  ].join("\n");
  const config = join(dir, `${method.name}-${noise}.yml`);
  writeFileSync(config, text);
  return { method: method.name, noise, config, inputs: withBase ? [...tunes, models.base] : tunes };
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
