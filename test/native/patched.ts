import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DTYPE_BYTES, type FloatDtype } from "../../src/model/dtype.ts";
import { elementCount, type TensorFactor, type TensorPatch, type TensorView } from "../../src/model/types.ts";
import { native } from "../../src/native.ts";
import type { RowGather } from "../../src/plan/types.ts";
import { nativeInputs } from "../../src/run/native-inputs.ts";
import { decode, encode } from "../oracle/dtype.ts";

/** Tensors in one file, each at an odd place. */
export class Shelf {
  readonly file: string;
  readonly #chunks: Uint8Array[] = [];
  #end = 0;

  constructor(folder: string, name: string) {
    this.file = join(folder, name);
  }

  put(values: ArrayLike<number>, dtype: FloatDtype, shape: readonly number[]): TensorView {
    const bytes = encode(values, dtype);
    this.#chunks.push(new Uint8Array(1), bytes);
    this.#end += 1 + bytes.length;
    return { file: this.file, offset: this.#end - bytes.length, dtype, shape };
  }

  /** A matrix as a factor; `transposed` where it is stored the other way round. */
  factor(
    values: ArrayLike<number>,
    dtype: FloatDtype,
    [rows, columns]: [number, number],
    transposed = false,
  ): TensorFactor {
    const { file, offset } = this.put(values, dtype, [rows, columns]);
    const strides = transposed ? { rowStride: 1, columnStride: rows } : { rowStride: columns, columnStride: 1 };
    return { tensor: "factor", file, offset, dtype, ...strides };
  }

  close(): void {
    writeFileSync(this.file, Buffer.concat([...this.#chunks, new Uint8Array(1)]));
  }
}

let outputs = 0;

/** Runs one op on inputs that may have patches. @returns the output's values and bytes. */
export async function runPatched(
  folder: string,
  {
    kernel,
    params,
    dtype,
    views,
    gathers = [],
  }: {
    kernel: string;
    params: readonly number[];
    dtype: FloatDtype;
    views: readonly TensorView[];
    /** For each view that has one: where its rows come from. */
    gathers?: readonly (RowGather | undefined)[];
  },
): Promise<{ values: Float64Array; bytes: Uint8Array; nonFinite: boolean[] }> {
  const addon = native();
  const handles = new Map<string, number>();
  const open = (file: string) => {
    const handle = handles.get(file) ?? addon.openSource(file).handle;
    handles.set(file, handle);
    return handle;
  };
  const own = views[0]?.shape ?? [];
  const shape = gathers[0] === undefined ? own : [gathers[0].rows.length, ...own.slice(1)];
  const count = elementCount(shape);
  const path = join(folder, `out-${outputs++}`);
  const sink = addon.createSink(path, count * DTYPE_BYTES[dtype]);
  try {
    const inputs = views.map((view, position) => ({
      view,
      model: `m${position}`,
      tensor: "w",
      position,
      gather: gathers[position],
    }));
    const result = await addon.merge({
      kernel,
      ...nativeInputs(inputs, open),
      count,
      rows: shape[0] ?? 1,
      columns: shape.at(-1) ?? 1,
      params: [...params],
      seed: 0,
      tensor: "w",
      sink,
      offset: 0,
      dtype,
      crc32: false,
    });
    await addon.commitSink(sink, false);
    const bytes = new Uint8Array(readFileSync(path));
    return { values: decode(bytes, dtype), bytes, nonFinite: result.nonFinite };
  } finally {
    for (const handle of handles.values()) addon.close(handle);
  }
}

/** A patch that adds a product to rows [from, to). */
export function added(
  [from, to, columns, rank]: [number, number, number, number],
  factors: Pick<TensorPatch, "left" | "right" | "magnitude">,
  scale = 0.75,
): TensorPatch {
  return { from, to, columns, rank, scale, replaces: false, ...factors };
}
