import type { Problem } from "../errors.ts";
import type { LowerArgs, MethodInput, ParameterSpec, Scratch } from "./types.ts";
import { numberIn } from "./values.ts";

/**
 * How a difference from the base is thinned out: not at all, to its largest elements, to the largest after some that
 * are larger still, at random, or at random with a chance that grows with the rank of the magnitude in its row.
 */
export type Sparsify = "none" | "magnitude" | "outliers" | "random" | "ranked";

interface Thinning {
  densityDoc: string;
  /** What a model may set besides its weight and density. */
  parameters: readonly ParameterSpec[];
  /** What the kernel is told of one model, in a tensor of `count` elements. */
  numbers(input: MethodInput, count: number): number[];
  /** What is wrong with a model's values. */
  fault?(input: MethodInput): Problem | undefined;
  /** What native code keeps in memory for so many models whose differences are thinned out. */
  scratch?(models: number, args: LowerArgs): Scratch;
}

/** Element counts cannot be negative: marks "keep every element" where a number of elements is kept. */
const KEEP_ALL = -1;

export const SPARSIFY: Readonly<Record<Sparsify, Thinning>> = {
  /** One number, ignored. */
  none: {
    densityDoc: "Accepted for recipes that carry it; no effect: every difference is kept.",
    parameters: [],
    numbers: () => [KEEP_ALL],
  },
  /** How many elements stay, -1 for all. */
  magnitude: {
    densityDoc: "Share of the differences that is kept, the largest first; 1 keeps all, 0 none.",
    parameters: [],
    numbers(input, count) {
      const density = densityOf(input);
      return [density >= 1 ? KEEP_ALL : Math.trunc(density * count)];
    },
    scratch: (models) => ({ selections: models }),
  },
  /** How many elements are dropped at the top, and how many stay after them, -1 for all. */
  outliers: {
    densityDoc: "Share of the differences that is kept, the largest after those that gamma drops; 1 keeps all, 0 none.",
    parameters: [
      {
        name: "gamma",
        scope: "model",
        type: "number",
        required: false,
        default: 0.01,
        min: 0,
        doc: "Share of the differences, the very largest, that is dropped; fewer where density needs them.",
      },
    ],
    numbers(input, count) {
      const density = densityOf(input);
      if (density >= 1) return [0, KEEP_ALL];
      const kept = Math.trunc(density * count);
      return [Math.min(Math.trunc(numberIn(input.parameters, "gamma") * count), count - kept), kept];
    },
    scratch: (models) => ({ selections: 2 * models }),
  },
  /** The probability that an element stays, from 0 to 1. */
  random: {
    densityDoc: "Probability that a difference is kept; 1 keeps all, 0 none.",
    parameters: [],
    numbers: (input) => [Math.min(densityOf(input), 1)],
  },
  /** Density and epsilon. */
  ranked: {
    densityDoc: "Mean probability that a difference is kept; 1 keeps all, 0 none.",
    parameters: [
      {
        name: "epsilon",
        scope: "model",
        type: "number",
        required: false,
        default: 0.15,
        doc: "The probability is density - epsilon for the smallest difference of a row, density + epsilon for the largest.",
      },
    ],
    numbers: (input) => [densityOf(input), numberIn(input.parameters, "epsilon")],
    fault: rankedFault,
    scratch: (models, { columns }) => ({ masks: models, row: columns }),
  },
};

function densityOf(input: MethodInput): number {
  return numberIn(input.parameters, "density");
}

/** Probabilities from density - epsilon to density + epsilon must all make sense, unless all or none is kept. */
function rankedFault(input: MethodInput): Problem | undefined {
  const density = densityOf(input);
  const epsilon = numberIn(input.parameters, "epsilon");
  const spread = Math.abs(epsilon);
  if (density >= 1 || density <= 0 || (density + spread < 1 && density - spread > 0)) return undefined;
  return {
    code: "parameter-range",
    message: `density - epsilon and density + epsilon must lie between 0 and 1: ${density} and ${epsilon} for ${input.model}`,
    hint: "choose a smaller epsilon, or a density of 1, which keeps every difference",
  };
}
