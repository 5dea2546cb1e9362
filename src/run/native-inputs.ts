import { layoutOf, type TensorFactor, type TensorPatch, type TensorView } from "../model/types.ts";
import type { NativeFactor, NativeGather, NativeInput, NativePatch, NativeWeight } from "../native.ts";
import type { OpInput, RowGather } from "../plan/types.ts";

/** Gives a file's handle; the model is whose it is. */
type OpenFile = (file: string, model: string) => number;

/** Inputs, and what adapters change in them, as native code takes them. */
export function nativeInputs(
  inputs: readonly OpInput[],
  open: OpenFile,
): { inputs: NativeInput[]; patches: NativePatch[] | undefined } {
  const patches: NativePatch[] = [];
  const list = inputs.map(({ view, model, position, gather }, input): NativeInput => {
    const factor = (one: TensorFactor) => nativeFactor(one, open(one.file, model));
    const views = gather?.pieces.map((piece) => piece.view) ?? [view];
    views.forEach((one, piece) => {
      const target = gather === undefined ? { input } : { input, piece };
      for (const patch of one.patches ?? []) patches.push({ ...target, ...nativePatch(patch, factor) });
    });
    return {
      source: open(view.file, model),
      offset: view.offset,
      dtype: view.dtype,
      stream: position,
      layout: layoutOf(view),
      gather: gather && nativeGather(gather, open),
    };
  });
  return { inputs: list, patches: patches.length === 0 ? undefined : patches };
}

/** A tensor that is read outside of ops, with what an adapter changes in it. */
export function nativeTensor(view: TensorView, open: (file: string) => number): NativeWeight {
  const factor = (one: TensorFactor) => nativeFactor(one, open(one.file));
  return {
    source: open(view.file),
    offset: view.offset,
    dtype: view.dtype,
    layout: layoutOf(view),
    patches: view.patches?.map((patch) => ({ input: 0, ...nativePatch(patch, factor) })),
  };
}

function nativeGather({ pieces, rows, mixes }: RowGather, open: OpenFile): NativeGather {
  return {
    pieces: pieces.map(({ view, model }) => ({
      source: open(view.file, model),
      offset: view.offset,
      dtype: view.dtype,
      rows: view.shape[0] ?? 0,
    })),
    rows,
    mixes,
  };
}

function nativeFactor({ offset, dtype, rowStride, columnStride }: TensorFactor, source: number): NativeFactor {
  return { source, offset, dtype, rowStride, columnStride };
}

function nativePatch(
  patch: TensorPatch,
  factor: (one: TensorFactor) => NativeFactor,
): Omit<NativePatch, "input" | "piece"> {
  const { columns, from, to, rank, scale, replaces, left, right, magnitude } = patch;
  return {
    columns,
    begin: from,
    end: to,
    rank,
    scale,
    replaces,
    ...(left === undefined ? {} : { left: factor(left) }),
    right: factor(right),
    ...(magnitude === undefined ? {} : { along: magnitude.along, magnitude: factor(magnitude.factor) }),
  };
}
