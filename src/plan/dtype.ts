import type { MergeConfig } from "../config/types.ts";
import type { MergeMethod } from "../methods/types.ts";
import { type FloatDtype, promote } from "../model/dtype.ts";

/**
 * The dtype that a float tensor is written in: `out_dtype`, else `dtype`, else the base's where the method keeps it,
 * else the one that all inputs fit in.
 * @param inputs the inputs' dtypes; @param base index of the base among them, or -1.
 */
export function outputDtype(
  config: Pick<MergeConfig, "dtype" | "outDtype">,
  method: MergeMethod,
  inputs: readonly FloatDtype[],
  base: number,
): FloatDtype {
  const fixed = config.outDtype ?? config.dtype;
  if (fixed !== undefined) return fixed;
  const ofBase = method.ownDtype === "base" ? inputs[base] : undefined;
  return ofBase ?? inputs.reduce(promote);
}
