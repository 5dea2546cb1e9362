import { baseAndModels } from "./base.ts";
import type { LowerArgs, MergeMethod } from "./types.ts";
import { baseMissing, numberIn } from "./values.ts";

/** Kernel `sce`: inputs are the base and the models, `params` is `[select_topk]`. With no model the base is copied. */
export const sce: MergeMethod = {
  name: "sce",
  title: "SCE",
  summary:
    "Selects the elements in which the models differ most, weighs the models by their change, and erases minority signs.",
  formula:
    "out = base + sum(w_i d_i) / max(sum(w_i), 1e-6) over the i whose d_i has the sign of sum_i(d_i), zero counting as " +
    "positive; d_i = x_i - base where the variance over the models is among the largest, else 0; w_i = mean(d_i^2) / " +
    "sum_j(mean(d_j^2)), equal where that sum is below 1e-6",
  use: "Several fine-tunes of one base with different skills: finds the weights by itself.",
  reference: "https://arxiv.org/abs/2408.07990",
  base: "required",
  ownDtype: "widest",
  models: { min: 1, max: Number.POSITIVE_INFINITY },
  random: false,
  parameters: [
    {
      name: "select_topk",
      scope: "global",
      type: "number",
      required: false,
      default: 1,
      doc: "Share of the elements with a variance that is kept, the largest first; 1 and more keeps all, 0 and less none.",
    },
    {
      name: "int8_mask",
      scope: "global",
      type: "boolean",
      required: false,
      default: false,
      doc: "Accepted for recipes that carry it; no effect: no mask is kept in memory.",
    },
  ],
  lower(args: LowerArgs) {
    const { base, models } = baseAndModels(args);
    if (base < 0) return baseMissing("sce");
    if (models.length === 0) return { kernel: "copy", inputs: [base], params: [] };
    const share = numberIn(args.parameters, "select_topk");
    const scratch = share > 0 && share < 1 ? { selections: 1 } : undefined;
    return { kernel: "sce", inputs: [base, ...models], params: [share], scratch };
  },
};
