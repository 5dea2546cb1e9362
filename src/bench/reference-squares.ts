import { DTYPE_BYTES } from "../model/dtype.ts";
import type { Comparison } from "./comparison.ts";
import type { Counterparts } from "./counterparts.ts";

const ZERO_DTYPE = "BF16";

/** Bytes of the file of zeros that these comparisons read: one element, which stands for all. */
export const ZERO_BYTES = DTYPE_BYTES[ZERO_DTYPE];

/**
 * What gives the sum of squares of each reference tensor: its difference from zero.
 * @param zeros a file of `ZERO_BYTES` zeros.
 */
export function squaresComparisons(tensors: readonly Counterparts[], zeros: string): Comparison[] {
  return tensors.map(({ tensor, elements, reference }) => {
    const view = { file: zeros, offset: 0, dtype: ZERO_DTYPE, shape: [elements], strides: [0] } as const;
    const zero = { view, model: "zeros", tensor: "zeros", position: 0 };
    return { tensor, inputs: [zero, reference], count: elements };
  });
}
