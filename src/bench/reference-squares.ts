import { DTYPE_BYTES } from "../model/dtype.ts";
import type { OpInput } from "../plan/types.ts";
import type { Comparison } from "./comparison.ts";
import type { Counterparts } from "./counterparts.ts";

/** Elements that are held against zeros at a time: the file of zeros stays in the CPU's cache or near it. */
const CHUNK = 1 << 22;
const ZERO_DTYPE = "BF16";

/** Bytes of the file of zeros that these comparisons read. */
export const ZERO_BYTES = CHUNK * DTYPE_BYTES[ZERO_DTYPE];

/**
 * What gives the sum of squares of each reference tensor: its difference from zero.
 * @param zeros a file of `ZERO_BYTES` zeros.
 */
export function squaresComparisons(tensors: readonly Counterparts[], zeros: string): Comparison[] {
  const zero: OpInput = {
    view: { file: zeros, offset: 0, dtype: ZERO_DTYPE, shape: [CHUNK] },
    model: "zeros",
    tensor: "zeros",
    position: 0,
  };
  return tensors.flatMap(({ tensor, elements, reference }) =>
    chunks(elements).map((start) => ({
      tensor,
      inputs: [zero, from(reference, start)],
      count: Math.min(CHUNK, elements - start),
    })),
  );
}

/** The sum of squares of each tensor from the sums of its chunks. */
export function squaresOf(tensors: readonly Counterparts[], sums: readonly Float64Array[]): number[] {
  let next = 0;
  return tensors.map(({ elements }) => {
    let squares = 0;
    for (const _ of chunks(elements)) squares += sums[next++]?.[0] ?? 0;
    return squares;
  });
}

function chunks(elements: number): number[] {
  return Array.from({ length: Math.ceil(elements / CHUNK) }, (_, i) => i * CHUNK);
}

function from(input: OpInput, start: number): OpInput {
  const { view } = input;
  return { ...input, view: { ...view, offset: view.offset + start * DTYPE_BYTES[view.dtype] } };
}
