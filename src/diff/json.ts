import type { Difference, DiffResult } from "./types.ts";

/** The comparison for programs: docs/diff.md says what each key means. */
export function diffJson(result: DiffResult, top: number | undefined): object {
  const { tensors } = result;
  const ordered =
    top === undefined
      ? tensors
      : tensors.toSorted((a, b) => (b.relative ?? Infinity) - (a.relative ?? Infinity)).slice(0, top);
  return {
    left: result.left,
    right: result.right,
    base: result.base ?? null,
    thresholds: result.thresholds,
    notes: result.notes,
    total: figures(result.total),
    modules: result.modules.map(({ name, ...group }) => ({ name, ...figures(group) })),
    layers: result.layers.map(({ name, ...group }) => ({ name, ...figures(group) })),
    tensors: ordered.map(({ tensor, module, layer, ...difference }) => {
      return { tensor, module, layer: layer ?? null, ...figures(difference) };
    }),
    integers: result.exact,
    only_left: result.onlyLeft,
    only_right: result.onlyRight,
    not_compared: result.notCompared,
    bytes_read: result.bytesRead,
    seconds: result.seconds,
  };
}

function figures({ base, ...difference }: Difference) {
  return {
    tensors: difference.tensors,
    elements: difference.elements,
    left_norm: difference.leftNorm,
    right_norm: difference.rightNorm,
    norm: difference.norm,
    relative: difference.relative,
    cosine: difference.cosine,
    largest: difference.largest,
    density: difference.density,
    non_finite: difference.nonFinite,
    ...(base === undefined
      ? {}
      : {
          base: {
            tensors: base.tensors,
            elements: base.elements,
            norm: base.norm,
            left_change: base.leftChange,
            right_change: base.rightChange,
            cosine: base.cosine,
            sign_conflicts: base.signConflicts,
            non_finite: base.nonFinite,
          },
        }),
  };
}
