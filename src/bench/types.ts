import type { Problem } from "../errors.ts";
import type { MergeMethod } from "../methods/types.ts";
import type { MergeOptions, MergePlan } from "../plan/types.ts";
import type { ProgressDisplay } from "../run/progress.ts";
import type { Part } from "./parts.ts";
import type { BenchValues } from "./values.ts";

/** What is compared. Models are named as in a configuration. */
export interface BenchRequest {
  /** In the order in which they are measured. */
  methods: readonly MergeMethod[];
  models: readonly string[];
  base: string | undefined;
  values: BenchValues;
  /** As configurations name it; undefined: what each method gives by itself. */
  dtype: string | undefined;
  options: MergeOptions;
  /** Where outputs are written and removed again; undefined: the folder for temporary files. */
  scratch: string | undefined;
  /** Merges per method; the median of their times counts. */
  repeat: number;
  /** Whether a merge ends only when the disk has every byte. */
  sync: boolean;
}

/** A configuration as `sinter merge` takes it: written as JSON it is YAML, too. */
export interface Recipe {
  merge_method: string;
  base_model?: string;
  models: readonly { model: string; parameters?: Readonly<Record<string, number | boolean>> }[];
  parameters?: Readonly<Record<string, number | boolean>>;
  dtype?: string;
}

export interface PlannedMethod {
  method: MergeMethod;
  recipe: Recipe;
  plan: MergePlan;
}

/** A method that does not go with the models or the values, and why. */
export interface Skipped {
  method: string;
  reason: string;
}

/** How a tensor or a group of them differs from the reference model. Numbers without a meaning are NaN. */
export interface Effect {
  part: Part | "total";
  tensors: number;
  elements: number;
  /** Euclidean norm of the reference, and of the difference from it. */
  referenceNorm: number;
  changeNorm: number;
  /** `changeNorm / referenceNorm` */
  relativeChange: number;
  /** Cosine between this difference and that of each model, in their order. */
  cosines: readonly number[];
  /** Of the elements that some model changed, the share in which two changed in opposite directions. */
  signConflicts: number;
  /** Share of the elements that differ from the reference at all. */
  density: number;
}

/** A model that was merged, as it lies beside the reference. */
export interface ModelEffect {
  model: string;
  effects: readonly Effect[];
}

export interface MeasuredMethod {
  method: string;
  device: "cpu";
  recipe: Recipe;
  /** Seconds of every merge, in order, and their median. */
  runs: readonly number[];
  seconds: number;
  /** Of one merge. */
  bytesRead: number;
  bytesWritten: number;
  tensors: number;
  /** Parts in a fixed order, those that the model has; the total comes last. */
  effects: readonly Effect[];
  /** Output tensors that no tensor of the models could be held against. */
  notCompared: readonly string[];
}

export interface BenchResult {
  models: readonly string[];
  base: string | undefined;
  /** The model that changes are measured against: the base, else the first model. */
  reference: string;
  machine: { target: string; threads: number };
  repeat: number;
  sync: boolean;
  seed: number;
  /** Whether the outputs lay in memory and not on a disk. */
  scratchInMemory: boolean;
  modelEffects: readonly ModelEffect[];
  measured: readonly MeasuredMethod[];
  skipped: readonly Skipped[];
  warnings: readonly Problem[];
}

export interface BenchEvents {
  /** A step of the work begins; one step at a time. @returns where its progress goes. */
  step(title: string): ProgressDisplay;
}

/** Bytes read and written per second, in units of 1e9. */
export function gigabytesPerSecond({ bytesRead, bytesWritten, seconds }: MeasuredMethod): number {
  return (bytesRead + bytesWritten) / seconds / 1e9;
}
