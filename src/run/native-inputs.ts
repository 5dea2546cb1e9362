import { factorsOf } from "../model/patch.ts";
import type { TensorFactor, TensorPatch } from "../model/types.ts";
import type { NativeFactor, NativeInput, NativePatch } from "../native.ts";
import type { OpInput } from "../plan/types.ts";

/** Every file that the inputs are read from, once for each time that it is. */
export function filesOf(inputs: readonly OpInput[]): string[] {
  return inputs.flatMap(({ view }) => [view.file, ...factorsOf(view).map(({ file }) => file)]);
}

/** Inputs, and what adapters change in them, as native code takes them. @param open gives a file's handle. */
export function nativeInputs(
  inputs: readonly OpInput[],
  open: (file: string, model: string) => number,
): { inputs: NativeInput[]; patches: NativePatch[] | undefined } {
  const patches: NativePatch[] = [];
  const list = inputs.map(({ view, model, position }, input) => {
    const factor = (one: TensorFactor) => nativeFactor(one, open(one.file, model));
    for (const patch of view.patches ?? []) patches.push(nativePatch(patch, input, factor));
    return { source: open(view.file, model), offset: view.offset, dtype: view.dtype, stream: position };
  });
  return { inputs: list, patches: patches.length === 0 ? undefined : patches };
}

function nativeFactor({ offset, dtype, rowStride, columnStride }: TensorFactor, source: number): NativeFactor {
  return { source, offset, dtype, rowStride, columnStride };
}

function nativePatch(patch: TensorPatch, input: number, factor: (one: TensorFactor) => NativeFactor): NativePatch {
  const { columns, from, to, rank, scale, replaces, left, right, magnitude } = patch;
  return {
    input,
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
