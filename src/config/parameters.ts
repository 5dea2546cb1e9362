import type { Position } from "../errors.ts";
import type { Parameters, Scalar, ScalarOrGradient } from "./types.ts";

/**
 * The value of a parameter for one tensor. `scopes` come innermost first (source, slice, module, global). In a scope
 * the first line whose filter matches gives the value; where none matches, the next scope is asked.
 * @param t where the tensor lies in its slice, from 0 (first layer) to 1 (last).
 * @returns undefined where no scope has a value.
 */
export function evaluate(
  name: string,
  scopes: readonly (Parameters | undefined)[],
  tensorName: string,
  t: number,
): { value: Scalar; at: Position } | undefined {
  for (const scope of scopes) {
    const parameter = scope?.get(name);
    const line = parameter?.lines.find(({ filter }) => matches(filter, tensorName));
    if (parameter !== undefined && line !== undefined) return { value: valueAt(line.value, t), at: parameter.at };
  }
  return undefined;
}

function matches(filter: string | undefined, tensorName: string): boolean {
  return filter === undefined || filter === "*" || tensorName.includes(filter);
}

/**
 * Linear between the two nearest values of a gradient; a truth value in it counts as 1 or 0. Kept between those two,
 * which rounding alone does not ensure, so that a constant gradient equals the constant.
 */
function valueAt(value: ScalarOrGradient, t: number): Scalar {
  if (typeof value !== "object") return value;
  const scaled = t * (value.length - 1);
  const index = Math.trunc(scaled);
  const fraction = scaled - index;
  const low = Number(value[index]);
  const high = Number(value[Math.min(index + 1, value.length - 1)]);
  const between = (1 - fraction) * low + fraction * high;
  return Math.min(Math.max(between, Math.min(low, high)), Math.max(low, high));
}
