import type { Problem } from "../errors.ts";
import type { LowerArgs, ParameterSpec } from "./types.ts";

type Values = LowerArgs["parameters"];

/** Stands for zero where a kernel needs a bound above it: 0 / 0 is no answer. */
export const LEAST_POSITIVE = 1e-30;

/** The value of a `number` parameter; truth values count as 1 and 0. NaN where it is not set. */
export function numberIn(values: Values, name: string): number {
  const value = values[name];
  return value === undefined ? Number.NaN : Number(value);
}

/** The value of a `boolean` parameter; every number but 0 is true. False where it is not set. */
export function booleanIn(values: Values, name: string): boolean {
  return Boolean(values[name]);
}

/** Weights whose sum is smaller than this share of their magnitudes cancel out: a quotient would be rounding error. */
const CANCELLED = 1e-12;

/** The problem of weights that sum to zero although the boolean parameter `normalize` says to divide by their sum. */
export function weightsCancel(weights: readonly number[], normalize: string): Problem | undefined {
  let sum = 0;
  let magnitude = 0;
  for (const weight of weights) {
    sum += weight;
    magnitude += Math.abs(weight);
  }
  // A missing weight is NaN here and has its own problem.
  const cancel = Math.abs(sum) <= CANCELLED * magnitude;
  if (!cancel) return undefined;
  return {
    code: "weights-sum-zero",
    message: `the weights sum to zero (${weights.join(", ")}), and ${normalize} divides by their sum`,
    hint: `change a weight, or set ${normalize}: false`,
  };
}

/** What is wrong with a value, as the end of a sentence that starts with the parameter's name; undefined if nothing. */
export function valueFault(spec: ParameterSpec, value: number | boolean): string | undefined {
  const number = Number(value);
  if (!Number.isFinite(number)) return `must be a finite number, not ${number}`;
  if (spec.min !== undefined && number < spec.min) return `must be at least ${spec.min}, not ${number}`;
  if (spec.max !== undefined && number > spec.max) return `must be at most ${spec.max}, not ${number}`;
  return undefined;
}

/** The problem of a method that got no base among its inputs. */
export function baseMissing(method: string): Problem {
  return {
    code: "base-missing",
    message: `${method} needs a base model among its inputs`,
    hint: "set base_model to one of the models that are merged here",
  };
}
