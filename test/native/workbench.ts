import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DTYPE_BYTES, type Dtype, type FloatDtype } from "../../src/model/dtype.ts";
import { type NativeInput, type NativeResult, native } from "../../src/native.ts";
import { decode, encode } from "../oracle/dtype.ts";
import type { OracleOp } from "../oracle/methods.ts";

/** Stored elements of one input. */
export interface Stored {
  bytes: Uint8Array;
  dtype: Dtype;
  stream?: number;
  layout?: NativeInput["layout"];
}

/** An op whose inputs are given as bytes: the workbench finds them a place in a file. */
export interface WorkOp {
  kernel: string;
  params?: readonly number[];
  inputs: readonly Stored[];
  dtype: Dtype;
  count: number;
  /** First and last dimension: 1 and `count` where not given. */
  rows?: number;
  columns?: number;
  /** Elements of each input, where they are pieces of the tensor. */
  elements?: number;
  seed?: number;
  tensor?: string;
  crc32?: boolean;
  /** On the devices that are in use. */
  device?: boolean;
}

export interface Outcome {
  bytes: Uint8Array;
  result: NativeResult;
}

/** A fresh folder that is gone after `use`. */
export async function inFolder<T>(use: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "sinter-native-"));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Runs ops natively, all queued at once, from one input file to one output file. Inputs and outputs lie at odd offsets,
 * as they may in files that others wrote.
 */
export async function runOps(ops: readonly WorkOp[]): Promise<Outcome[]> {
  return await inFolder(async (folder) => {
    const addon = native();
    const chunks: Uint8Array[] = [];
    let inputEnd = 0;
    const place = (bytes: Uint8Array) => {
      const gap = new Uint8Array(1 + (inputEnd % 2));
      chunks.push(gap, bytes);
      inputEnd += gap.length + bytes.length;
      return inputEnd - bytes.length;
    };
    const offsets = ops.map(({ inputs }) => inputs.map(({ bytes }) => place(bytes)));
    const inputFile = join(folder, "inputs");
    writeFileSync(inputFile, Buffer.concat([...chunks, new Uint8Array(1)]));
    let outputEnd = 1;
    const outputs = ops.map((op) => {
      const offset = outputEnd;
      outputEnd += op.count * DTYPE_BYTES[op.dtype] + 1;
      return offset;
    });
    const source = addon.openSource(inputFile);
    const sink = addon.createSink(join(folder, "outputs"), outputEnd);
    const results = await Promise.all(
      ops.map((op, i) =>
        addon.merge({
          kernel: op.kernel,
          params: [...(op.params ?? [])],
          inputs: op.inputs.map(({ dtype, stream, layout }, k) => ({
            source: source.handle,
            offset: offsets[i]?.[k] as number,
            dtype,
            stream: stream ?? k,
            layout,
          })),
          count: op.count,
          rows: op.rows ?? 1,
          columns: op.columns ?? op.count,
          ...(op.elements === undefined ? {} : { elements: op.elements }),
          seed: op.seed ?? 0,
          tensor: op.tensor ?? "w",
          sink,
          offset: outputs[i] as number,
          dtype: op.dtype,
          crc32: op.crc32 ?? false,
          device: op.device ?? false,
        }),
      ),
    );
    await addon.commitSink(sink, false);
    addon.close(source.handle);
    const written = readFileSync(join(folder, "outputs"));
    return results.map((result, i) => {
      const op = ops[i] as WorkOp;
      const start = outputs[i] as number;
      return { bytes: written.subarray(start, start + op.count * DTYPE_BYTES[op.dtype]), result };
    });
  });
}

/** The same op for the oracle. */
export function forOracle(op: WorkOp): OracleOp {
  return {
    kernel: op.kernel,
    params: op.params ?? [],
    inputs: op.inputs.map(({ bytes, dtype, stream }, k) => ({
      values: decode(bytes, dtype as FloatDtype),
      dtype: dtype as FloatDtype,
      stream: stream ?? k,
    })),
    dtype: op.dtype as FloatDtype,
    count: op.count,
    rows: op.rows ?? 1,
    columns: op.columns ?? op.count,
    seed: op.seed ?? 0,
    tensor: op.tensor ?? "w",
  };
}

/** The sizes of a tensor of this shape, as ops name them. */
export function sizesOf(shape: readonly number[]): { count: number; rows: number; columns: number } {
  return { count: shape.reduce((product, size) => product * size, 1), rows: shape[0] ?? 1, columns: shape.at(-1) ?? 1 };
}

export function stored(values: ArrayLike<number>, dtype: FloatDtype, stream?: number): Stored {
  return { bytes: encode(values, dtype), dtype, ...(stream === undefined ? {} : { stream }) };
}

/** Reproducible numbers: `uniform` in [0, 1), `normal` near a normal distribution (a sum of four). */
export function numbers(seed: number) {
  let state = seed | 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => (uniform() + uniform() + uniform() + uniform() - 2) * Math.sqrt(3);
  return {
    uniform,
    normal,
    list: (count: number, scale = 1) => Float64Array.from({ length: count }, () => normal() * scale),
  };
}

/** A base and fine-tunes of it, as models have them: values around 0.02, differences around `noise`. */
export function family(count: number, models: number, seed: number, noise = 3e-3): Float64Array[] {
  const { list } = numbers(seed);
  const base = list(count, 0.02);
  return [base, ...Array.from({ length: models }, () => list(count, noise).map((d, i) => (base[i] as number) + d))];
}
