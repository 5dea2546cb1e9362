import type { LowerArgs, Lowered, MergeMethod } from "./types.ts";
import { booleanIn, numberIn, weightsCancel } from "./values.ts";

/**
 * Kernel `linear`: `params` are the coefficients, one for each input, already divided by the sum of the weights
 * (in float64) where `normalize` asks for it. One input with coefficient 1 is a `copy`.
 */
export const linear: MergeMethod = {
  name: "linear",
  title: "Linear",
  summary: "The weighted average of the models.",
  formula: "out = sum_i(w_i x_i) / sum_i(w_i); without normalize: out = sum_i(w_i x_i)",
  use: "Models that were fine-tuned from the same base on similar data. Simple, fast, and hard to get wrong.",
  reference: "https://arxiv.org/abs/2203.05482",
  base: "member",
  ownDtype: "widest",
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
    const cancelled = weightsCancel(weights, "normalize");
    if (cancelled !== undefined) return cancelled;
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weightedSum(weights.map((weight) => weight / sum));
  },
};

/** The weighted sum of all inputs in their order. */
function weightedSum(coefficients: readonly number[]): Lowered {
  if (coefficients.length === 1 && coefficients[0] === 1) return { kernel: "copy", inputs: [0], params: [] };
  return { kernel: "linear", inputs: coefficients.map((_, i) => i), params: coefficients };
}
