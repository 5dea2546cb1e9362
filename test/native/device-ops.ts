import type { FloatDtype } from "../../src/model/dtype.ts";
import { FLOAT_DTYPES } from "../oracle/dtype.ts";
import { onDevices, type Use } from "./host-device.ts";
import { FAMILIES, type Family, MIXTURES } from "./kernel-families.ts";
import { family, type Outcome, runOps, type Stored, stored, type WorkOp } from "./workbench.ts";

/** Elements of the largest tensor. */
export const MOST = 1_100_003;
const MODELS = family(MOST, 4, 11, 3e-3);
const STORED = new Map<FloatDtype, Stored[]>();

/** The first elements of model `k`, as every test reads them. */
export function input(k: number, dtype: FloatDtype, count: number): Stored {
  const all = STORED.get(dtype) ?? MODELS.map((values) => stored(values, dtype));
  STORED.set(dtype, all);
  const { bytes } = all[k % all.length] as Stored;
  return { bytes: bytes.subarray(0, (bytes.length / MOST) * count), dtype, stream: k };
}

export type Shape = readonly [rows: number, columns: number];

export function makeOp({ kernel, params }: Family, inputs: number, [rows, columns]: Shape, variant: number): WorkOp {
  const count = rows * columns;
  const dtypes = MIXTURES[variant % MIXTURES.length] as readonly FloatDtype[];
  return {
    kernel,
    params: params(inputs, count, variant),
    inputs: Array.from({ length: inputs }, (_, k) => input(k, dtypes[k % dtypes.length] as FloatDtype, count)),
    dtype: FLOAT_DTYPES[(variant * 7 + (variant >> 2)) % 4] as FloatDtype,
    count,
    rows,
    columns,
    tensor: `model.layers.${count}.weight`,
    seed: variant,
    crc32: variant % 2 === 0,
  };
}

/** Coefficients of groups of elements, which `FAMILIES` leaves out. */
export const GROUPED: readonly Family[] = [
  { kernel: "nuslerp", inputs: [2], params: (_, __, variant) => [0.3, 1 + (variant % 2)] },
  { kernel: "nuslerp_base", inputs: [3], params: (_, __, variant) => [0.7, 1 + (variant % 2)] },
  { kernel: "model_stock", inputs: [3, 5], params: () => [1] },
];
/** Every kernel that devices have. */
export const KINDS = [...FAMILIES.filter(({ kernel }) => kernel !== "copy"), ...GROUPED];

export const linear = KINDS.find(({ kernel }) => kernel === "linear") as Family;
export const ties = KINDS.find(({ kernel }) => kernel === "ties") as Family;
export const della = KINDS.find(({ kernel }) => kernel === "della") as Family;
export const arcee = KINDS.find(({ kernel }) => kernel === "arcee_fusion") as Family;
export const nuslerp = GROUPED[0] as Family;

/** Of the numbers of inputs the least, another unrolled one, and one that is not. */
export function few({ inputs }: Family): number[] {
  return inputs.filter((n, i) => i === 0 || n === 3 || n === 9);
}

export async function onDevice(ops: readonly WorkOp[], orders = "", use: Use = {}): Promise<Outcome[]> {
  return await onDevices(orders, use, () => runOps(ops.map((op) => ({ ...op, device: true }))));
}

/** What is not the same, in words; undefined where all is. */
export function difference(
  ops: readonly WorkOp[],
  found: readonly Outcome[],
  wanted: readonly Outcome[],
): string | undefined {
  for (const [i, op] of ops.entries()) {
    const [a, b] = [found[i] as Outcome, wanted[i] as Outcome];
    const { device: _, returned: __, directBytes: ___, ...result } = a.result;
    const bytes = Buffer.compare(a.bytes, b.bytes) === 0;
    if (bytes && Bun.deepEquals(result, b.result)) continue;
    const dtypes = op.inputs.map(({ dtype }) => dtype).join(" ");
    const what = bytes ? `results ${JSON.stringify([result, b.result])}` : "bytes";
    return `${what} of ${op.kernel} [${op.params}] of ${dtypes} to ${op.dtype}, ${op.rows} x ${op.columns}`;
  }
  return undefined;
}

/** How many of them a device computed. */
export const stayed = (outcomes: readonly Outcome[]) =>
  outcomes.filter(({ result }) => result.device !== undefined).length;
