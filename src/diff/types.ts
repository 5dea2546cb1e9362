import type { OpInput } from "../plan/types.ts";

/** A weight as both models have it, and the base where there is one that has it, too. */
export interface Pair {
  /** The tensor's name in the first model. */
  tensor: string;
  /** What kind of weight it is, whatever its layer: `self_attn.q_proj`. */
  module: string;
  /** `3`, or with the part's name before it where a model has several: `vision 3`. Undefined outside layers. */
  layer: string | undefined;
  /** Elements that are compared, and rows that they make. */
  elements: number;
  rows: number;
  /** Of the first model, the second and the base. */
  inputs: readonly OpInput[];
}

/** What belongs together in two models, and what does not. */
export interface Pairing {
  pairs: readonly Pair[];
  /** Weights of integers or truth values: they are the same or not, and have no norms. */
  exact: readonly Pair[];
  /** Names of tensors that only one of the two has. */
  onlyLeft: readonly string[];
  onlyRight: readonly string[];
  /** Weights of both that cannot be held against each other, and why. */
  notCompared: readonly { tensor: string; reason: string }[];
  /** What a reader of the figures has to know. */
  notes: readonly string[];
}

/** How much tensors differ. Numbers without a meaning are null. */
export interface Difference {
  tensors: number;
  elements: number;
  /** Euclidean norms of the first, of the second and of the difference between them. */
  leftNorm: number;
  rightNorm: number;
  norm: number;
  /** `norm / leftNorm` */
  relative: number | null;
  /** Between the two. */
  cosine: number | null;
  /** The largest difference between two elements. */
  largest: number;
  /** Share of the elements that differ by more than a threshold; the first is 0. */
  density: readonly { above: number; share: number }[];
  /** Elements that are a NaN or an infinity: they are left out of all other figures. */
  nonFinite: { left: number; right: number };
  /** Where there is a base: of those tensors that it has in the same shape. */
  base?: BaseDifference | undefined;
}

export interface BaseDifference {
  tensors: number;
  elements: number;
  norm: number;
  /** Norms of the two differences from the base, and the cosine between them. */
  leftChange: number;
  rightChange: number;
  cosine: number | null;
  /** Of the elements that one of the two changed, the share in which they went in opposite directions. */
  signConflicts: number | null;
  nonFinite: number;
}

export interface TensorDifference extends Difference {
  tensor: string;
  module: string;
  layer: string | undefined;
}

export interface GroupDifference extends Difference {
  name: string;
}

export interface CellDifference extends Difference {
  layer: string;
  module: string;
}

export interface DiffResult {
  left: string;
  right: string;
  base: string | undefined;
  thresholds: readonly number[];
  total: Difference;
  /** In the order in which the first model has them. */
  modules: readonly GroupDifference[];
  layers: readonly GroupDifference[];
  /** By layer and module: of weights outside layers there is none. */
  cells: readonly CellDifference[];
  tensors: readonly TensorDifference[];
  /** Tensors of integers. */
  exact: readonly { tensor: string; same: boolean }[];
  onlyLeft: readonly string[];
  onlyRight: readonly string[];
  notCompared: Pairing["notCompared"];
  notes: readonly string[];
  bytesRead: number;
  seconds: number;
}
