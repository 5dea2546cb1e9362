import fc from "fast-check";
import { DTYPE_BYTES, type Dtype } from "../../src/model/dtype.ts";
import { type Layout, layOut } from "../../src/plan/layout.ts";
import type { PlacelessOp } from "../../src/plan/place.ts";
import type { MergePlan } from "../../src/plan/types.ts";

/** An output tensor that copies nothing: enough for a layout. */
export function op(tensor: string, dtype: Dtype, shape: readonly number[]): PlacelessOp {
  return { tensor, dtype, shape, kernel: "copy", inputs: [], params: [] };
}

/** Lists of tensors with distinct names, any dtype, 0-d and empty ones among them. */
export const anyOps: fc.Arbitrary<PlacelessOp[]> = fc
  .uniqueArray(fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }), { maxLength: 25 })
  .chain((names) =>
    fc.tuple(
      ...names.map((name) =>
        fc
          .tuple(
            fc.constantFrom(...(Object.keys(DTYPE_BYTES) as Dtype[])),
            fc.array(fc.nat(9), { minLength: 0, maxLength: 3 }),
          )
          .map(([dtype, shape]) => op(name, dtype, shape)),
      ),
    ),
  );

/** A plan of which only the layout is of interest. */
export function planOf(layout: Layout): MergePlan {
  return {
    method: "linear",
    seed: 0,
    models: [],
    baseModel: undefined,
    inputFiles: [],
    ...layout,
    sideFiles: [],
    totals: { tensors: layout.ops.length, parameters: 0, bytesRead: 0, bytesWritten: 0 },
    tied: [],
    warnings: [],
  };
}

export function planLayout(
  ops: readonly PlacelessOp[],
  shardSize = 0,
  format: "safetensors" | "torch" = "safetensors",
): MergePlan {
  return planOf(layOut(ops, shardSize, format));
}
