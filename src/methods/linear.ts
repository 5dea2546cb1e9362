import type { LowerArgs, Lowered, MergeMethod } from "./types.ts";
import { booleanIn, numberIn } from "./values.ts";

/** Weights whose sum is smaller than this share of their magnitudes cancel out: the quotient would be rounding error. */
const CANCELLED = 1e-12;

/**
 * Kernel `linear`: `params` are the coefficients, one for each input, already divided by the sum of the weights
 * (in float64) where `normalize` asks for it. One input with coefficient 1 is a `copy`.
 */
export const linear: MergeMethod = {
  name: "linear",
  title: "Linear",
  summary: "The weighted average of the models.",
  formula: "out = sum_i(w_i x_i) / sum_i(w_i); without normalize: out = sum_i(w_i x_i)",
  reference: "https://arxiv.org/abs/2203.05482",
  base: "member",
  models: { min: 1, max: Number.POSITIVE_INFINITY },
  random: false,
  parameters: [
    { name: "weight", scope: "model", type: "number", required: true, doc: "Share of this model in the average." },
    {
      name: "normalize",
      scope: "global",
      type: "boolean",
      required: false,
      default: true,
      doc: "Divide by the sum of the weights, so that only their ratios matter.",
    },
  ],
  lower(args: LowerArgs) {
    const weights = args.inputs.map((input) => numberIn(input.parameters, "weight"));
    if (!booleanIn(args.parameters, "normalize")) return weightedSum(weights);
    let sum = 0;
    let magnitude = 0;
    for (const weight of weights) {
      sum += weight;
      magnitude += Math.abs(weight);
    }
    if (Math.abs(sum) <= CANCELLED * magnitude) {
      return {
        code: "weights-sum-zero",
        message: `the weights sum to zero (${weights.join(", ")}), and normalize divides by their sum`,
        hint: "change a weight, or set normalize: false",
      };
    }
    return weightedSum(weights.map((weight) => weight / sum));
  },
};

/** The weighted sum of all inputs in their order. */
function weightedSum(coefficients: readonly number[]): Lowered {
  if (coefficients.length === 1 && coefficients[0] === 1) return { kernel: "copy", inputs: [0], params: [] };
  return { kernel: "linear", inputs: coefficients.map((_, i) => i), params: coefficients };
}
