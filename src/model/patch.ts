import { DTYPE_BYTES } from "./dtype.ts";
import type { TensorFactor, TensorPatch, TensorView } from "./types.ts";

/** Every factor of a view's patches, in the order in which native code is given them. */
export function factorsOf(view: TensorView): TensorFactor[] {
  return (view.patches ?? []).flatMap(({ left, right, magnitude }) => [
    ...(left === undefined ? [] : [left]),
    right,
    ...(magnitude === undefined ? [] : [magnitude.factor]),
  ]);
}

/**
 * The patches of a part of a tensor that lies in one piece.
 * @param first the part's first element, `count` of them, both whole rows of the patches.
 */
export function patchesOfPart(
  patches: readonly TensorPatch[] | undefined,
  first: number,
  count: number,
): readonly TensorPatch[] | undefined {
  const found = patches?.flatMap((patch) => {
    const start = first / patch.columns;
    const rows = count / patch.columns;
    const from = Math.max(patch.from, start);
    const to = Math.min(patch.to, start + rows);
    return from < to ? [{ ...rowsOfPatch(patch, from, to), from: from - start, to: to - start }] : [];
  });
  return found === undefined || found.length === 0 ? undefined : found;
}

/** Whether the patches of the first rows need no more than these rows: norms of columns are those of all rows. */
export function splitsByRow(patches: readonly TensorPatch[] | undefined): boolean {
  return patches?.every(({ magnitude }) => magnitude?.along !== "columns") ?? true;
}

/** The same changes in rows [from, to) alone. A magnitude along columns goes by the norms of these rows then. */
function rowsOfPatch(patch: TensorPatch, from: number, to: number): TensorPatch {
  const skipped = from - patch.from;
  const { left, magnitude } = patch;
  return {
    ...patch,
    from,
    to,
    left: left && moved(left, skipped * left.rowStride),
    magnitude:
      magnitude?.along === "rows"
        ? { along: "rows", factor: moved(magnitude.factor, skipped * magnitude.factor.columnStride) }
        : magnitude,
  };
}

/** A factor that starts some elements later. */
export function moved(factor: TensorFactor, elements: number): TensorFactor {
  return { ...factor, offset: factor.offset + elements * DTYPE_BYTES[factor.dtype] };
}
