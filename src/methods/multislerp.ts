import { baseAndModels, inputsAt } from "./base.ts";
import type { LowerArgs, MergeMethod } from "./types.ts";
import { booleanIn, LEAST_POSITIVE, numberIn, weightsCancel } from "./values.ts";

/**
 * Kernels `multislerp` of the models and `multislerp_base` of the base and the models: `params` is
 * `[normalize_weights, eps, weight_1, …, weight_n]`. One model is copied, with or without a base; so is the base alone.
 */
export const multislerp: MergeMethod = {
  name: "multislerp",
  title: "Multi-SLERP",
  summary: "Spherical average of any number of models, or of their differences from a base, by weights.",
  formula:
    "out = [base +] sum_i(w_i |v_i|) m / |m|, m = sum_i(w_i v_i / (|v_i| + eps)), v = x [- base]; " +
    "where |m| < eps: out = [base +] sum_i(w_i v_i)",
  use: "As slerp, for three or more models; with base_model, for fine-tunes of one base whose changes should be mixed.",
  reference: "https://goddard.blog/posts/multislerp-wow-what-a-cool-idea",
  base: "optional",
  ownDtype: "widest",
  models: { min: 1, max: Number.POSITIVE_INFINITY },
  random: false,
  parameters: [
    { name: "weight", scope: "model", type: "number", required: true, doc: "Share of this model in the average." },
    {
      name: "normalize_weights",
      scope: "global",
      type: "boolean",
      required: false,
      default: true,
      doc: "Divide the weights by their sum, so that only their ratios matter.",
    },
    {
      name: "eps",
      scope: "global",
      type: "number",
      required: false,
      default: 1e-8,
      min: 0,
      doc: "Added to every norm; a mean direction shorter than this counts as none.",
    },
  ],
  lower(args: LowerArgs) {
    const { base, models } = baseAndModels(args);
    if (models.length < 2) return { kernel: "copy", inputs: [models[0] ?? base], params: [] };
    const weights = inputsAt(args, models).map((input) => numberIn(input.parameters, "weight"));
    const normalize = booleanIn(args.parameters, "normalize_weights");
    const cancelled = normalize ? weightsCancel(weights, "normalize_weights") : undefined;
    if (cancelled !== undefined) return cancelled;
    const params = [Number(normalize), Math.max(numberIn(args.parameters, "eps"), LEAST_POSITIVE), ...weights];
    if (base < 0) return { kernel: "multislerp", inputs: models, params };
    return { kernel: "multislerp_base", inputs: [base, ...models], params };
  },
};
