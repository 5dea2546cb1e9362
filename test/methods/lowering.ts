import { findMethod } from "../../src/methods/index.ts";
import type { Lowered, MergeMethod } from "../../src/methods/types.ts";
import { elementCount } from "../../src/model/types.ts";

type Values = Record<string, number | boolean | undefined>;

/** One input as a test writes it: its own parameters, and whether it is the base. */
export interface TestInput extends Values {
  base?: boolean;
}

export function method(name: string): MergeMethod {
  const found = findMethod(name);
  if (found === undefined) throw new Error(`no method ${name}`);
  return found;
}

/**
 * Lowers as the planner does: declared defaults fill in what is not given.
 * @param shape of the tensor; a number is a vector of so many elements.
 */
export function lower(
  name: string,
  inputs: readonly TestInput[],
  parameters: Values = {},
  shape: number | readonly number[] = 100,
) {
  const declared = method(name);
  const sizes = typeof shape === "number" ? [shape] : shape;
  const defaults = (scope: "global" | "model") =>
    Object.fromEntries(declared.parameters.filter((spec) => spec.scope === scope).map((s) => [s.name, s.default]));
  return declared.lower({
    inputs: inputs.map(({ base = false, ...own }, position) => ({
      position,
      isBase: base,
      model: `m${position}`,
      parameters: { ...defaults("model"), ...own },
    })),
    parameters: { ...defaults("global"), ...parameters },
    count: elementCount(sizes),
    rows: sizes[0] ?? 1,
    columns: sizes.at(-1) ?? 1,
  });
}

/** The same where a Problem is a failure of the test. */
export function lowered(...args: Parameters<typeof lower>): Lowered {
  const result = lower(...args);
  if ("code" in result) throw new Error(result.message);
  return result;
}
