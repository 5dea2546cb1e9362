import type { Problem } from "../errors.ts";
import type { LowerArgs, ParameterSpec } from "./types.ts";

type Values = LowerArgs["parameters"];

/** The value of a `number` parameter; truth values count as 1 and 0. NaN where it is not set. */
export function numberIn(values: Values, name: string): number {
  const value = values[name];
  return value === undefined ? Number.NaN : Number(value);
}

/** The value of a `boolean` parameter; every number but 0 is true. False where it is not set. */
export function booleanIn(values: Values, name: string): boolean {
  return Boolean(values[name]);
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
