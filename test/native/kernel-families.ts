import type { FloatDtype } from "../../src/model/dtype.ts";

/** A kernel, and numbers that it takes. */
export interface Family {
  kernel: string;
  /** Numbers of inputs that the kernel takes, of those worth a test: one of each unrolled loop, and more. */
  inputs: readonly number[];
  params(inputs: number, count: number, variant: number): number[];
}

const MANY = [2, 3, 4, 5, 6, 9, 12];
/** No subset of them adds up to nearly zero: dividing by such a sum would magnify every rounding error. */
const WEIGHTS = [0.7, 0.4, -0.317, 1.1, 0.25, 0.6, 0.15, 0.9, -0.2393, 0.35, 0.8];

/** @param keep the numbers of a model after its weight. */
function taskVector(
  kernel: string,
  keep: (count: number, model: number, variant: number) => number | number[],
): Family {
  return {
    kernel,
    inputs: MANY,
    params(inputs, count, variant) {
      const lambda = [1, 0.5, 1.3, 1][variant % 4] as number;
      const perModel = WEIGHTS.slice(0, inputs - 1).flatMap((w, k) => [w, keep(count, k, variant)].flat());
      return [lambda, variant & 1, (variant >> 1) & 1, ...perModel];
    },
  };
}

const PLACES = [0.3, 0, 1, 1.4];

/** Every kernel that merges tensors of one size. */
export const FAMILIES: readonly Family[] = [
  { kernel: "copy", inputs: [1], params: () => [] },
  { kernel: "linear", inputs: [1, ...MANY], params: (inputs) => [0.6, ...WEIGHTS].slice(0, inputs) },
  { kernel: "slerp", inputs: [2], params: (_, __, variant) => [[0.3, 0, 1, 0.8][variant % 4] as number] },
  taskVector("task_arithmetic", () => -1),
  taskVector("ties", kept),
  taskVector("ties_count", kept),
  taskVector("dare_linear", (_, k) => [0.5, 0.9, 1, 0.1][k % 4] as number),
  taskVector("dare_ties", (_, k) => [0.5, 0.9, 1, 0.1][k % 4] as number),
  taskVector("breadcrumbs", outliers),
  taskVector("breadcrumbs_ties", outliers),
  taskVector("della_linear", (_, k) => ranked(k)),
  taskVector("della", (_, k) => ranked(k)),
  { kernel: "nuslerp", inputs: [2], params: (_, __, variant) => [PLACES[variant % 4] as number, 0] },
  { kernel: "nuslerp_base", inputs: [3], params: (_, __, variant) => [PLACES[variant % 4] as number, 0] },
  {
    kernel: "multislerp",
    inputs: [1, ...MANY],
    params: (inputs, _, variant) => [variant & 1, 1e-8, 0.6, ...WEIGHTS].slice(0, inputs + 2),
  },
  {
    kernel: "multislerp_base",
    inputs: MANY,
    params: (inputs, _, variant) => [variant & 1, 1e-8, ...WEIGHTS].slice(0, inputs + 1),
  },
  { kernel: "karcher", inputs: [1, ...MANY], params: (_, __, variant) => [variant % 4 === 3 ? 0 : 10, 1e-5] },
  { kernel: "model_stock", inputs: MANY.slice(1), params: () => [0] },
  { kernel: "sce", inputs: MANY, params: (_, __, variant) => [[1, 0.3, 0.05, 0, 0.9][variant % 5] as number] },
  { kernel: "ram", inputs: MANY, params: (_, __, variant) => [[1e-5, 3e-3][variant & 1] as number] },
  { kernel: "ramplus_tl", inputs: MANY, params: (_, __, variant) => [[1e-5, 3e-3][variant & 1] as number, 0.3, 0.7] },
  { kernel: "nearswap", inputs: [2], params: (_, __, variant) => [[1e-3, 0, 0.1, -1][variant % 4] as number] },
  { kernel: "arcee_fusion", inputs: [2], params: () => [] },
];

function kept(count: number, model: number): number {
  return [Math.trunc(count * 0.5), Math.trunc(count * 0.2), -1, count, 1][model % 5] as number;
}

function outliers(count: number, model: number): number[] {
  const shares = [
    [0.05, 0.6],
    [0, 0.3],
    [0, -1 / count],
    [0.5, 0.5],
    [0.2, 0.01],
  ][model % 5] as [number, number];
  return shares.map((share) => Math.trunc(share * count));
}

function ranked(model: number): number[] {
  return [
    [0.5, 0.3],
    [0.9, 0.05],
    [1, 0.15],
    [0.1, 0],
    [0, 0.15],
  ][model % 5] as [number, number];
}

/** Dtypes of inputs, taken in turn: all alike, then mixtures. */
export const MIXTURES: readonly (readonly FloatDtype[])[] = [
  ["F64"],
  ["F32"],
  ["F16"],
  ["BF16"],
  ["BF16", "F32", "F16"],
  ["F16", "BF16", "F64"],
];
