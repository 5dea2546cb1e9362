import type { Problem } from "../errors.ts";

/** Where a parameter may be set: `model` for each input, `global` once per output tensor. */
export type ParameterScope = "global" | "model";

export interface ParameterSpec {
  name: string;
  scope: ParameterScope;
  type: "number" | "boolean";
  /** Missing and without a default is an error, except for the base model of a method that has one. */
  required: boolean;
  default?: number | boolean | undefined;
  /** Inclusive bounds; outside them is an error. */
  min?: number | undefined;
  max?: number | undefined;
  /** One line for `sinter methods` and docs/methods.md. */
  doc: string;
}

/** One input of an output tensor, as a method sees it. */
export interface MethodInput {
  /** Position among the sources of the recipe: tells random streams apart. */
  position: number;
  isBase: boolean;
  /** For messages. */
  model: string;
  /** Values of the `model` parameters; undefined where not set and without a default. */
  parameters: Readonly<Record<string, number | boolean | undefined>>;
}

export interface LowerArgs {
  /** In the order of the recipe; an added base comes last. */
  inputs: readonly MethodInput[];
  /** Values of the `global` parameters. */
  parameters: Readonly<Record<string, number | boolean | undefined>>;
  /** Elements of the output tensor, its first dimension and its last (1 for a 0-d tensor). */
  count: number;
  rows: number;
  columns: number;
}

/** What native code keeps in memory for one op, besides buffers of a fixed size. */
export interface Scratch {
  /** k-th largest values that are looked for; each collects candidates. */
  selections?: number | undefined;
  /** Sums and coefficients of vectors that the tensor is split into: numbers in float64. */
  numbers?: number | undefined;
  /** Masks of one bit per element. */
  masks?: number | undefined;
  /** Elements of a row, where every worker looks at whole rows. */
  row?: number | undefined;
}

/**
 * What native code is asked for: a kernel, which inputs it reads and in which order, and plain numbers laid out as
 * the kernel's header in native/methods/ documents. The kernel `copy` moves the bytes of its one input.
 */
export interface Lowered {
  kernel: string;
  /** Indices into `LowerArgs.inputs`. */
  inputs: readonly number[];
  params: readonly number[];
  /** Absent where the op needs none that grows with the tensor. */
  scratch?: Scratch | undefined;
}

/** A merge method, declared once: validation, `sinter methods`, docs and the test matrix follow from it. */
export interface MergeMethod {
  name: string;
  title: string;
  /** One sentence: what it does. */
  summary: string;
  /** The formula, in plain text. */
  formula: string;
  /** When to choose it, in one or two sentences. */
  use: string;
  reference?: string | undefined;
  /** `required`: must be set. `optional`: used where set. `member`: one more model, no special part. */
  base: "required" | "optional" | "member";
  /**
   * The output's dtype where the recipe gives none: the base's, or the widest, in which every input fits. An output
   * without a base among its inputs has the widest.
   */
  ownDtype: "base" | "widest";
  /** How many inputs besides a base that is used as such; inclusive. One input alone, or the base, is up to `lower`. */
  models: { min: number; max: number };
  /** Uses random numbers: depends on the seed. */
  random: boolean;
  parameters: readonly ParameterSpec[];
  /** From evaluated parameters to a kernel and its numbers; a Problem where the numbers have no meaning. */
  lower(args: LowerArgs): Lowered | Problem;
}
