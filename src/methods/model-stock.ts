import { baseAndModels } from "./base.ts";
import type { LowerArgs, MergeMethod, Scratch } from "./types.ts";
import { baseMissing, booleanIn } from "./values.ts";

/** Kernel `model_stock`: inputs are the base and the models, `params` is `[vectors]`, 0 for the tensor, 1 for its rows. */
export const modelStock: MergeMethod = {
  name: "model_stock",
  title: "Model Stock",
  summary: "Moves the base towards the average of its fine-tunes, the further the more they point the same way.",
  formula: "out = base + t (mean_i(x_i) - base), t = n c / (1 + (n - 1) c), c = mean_{i<j} cos(x_i - base, x_j - base)",
  use: "Two or more fine-tunes of one base on the same task, with different seeds or settings: no weights to choose.",
  reference: "https://arxiv.org/abs/2403.19522",
  base: "required",
  ownDtype: "widest",
  models: { min: 2, max: Number.POSITIVE_INFINITY },
  random: false,
  parameters: [
    {
      name: "filter_wise",
      scope: "global",
      type: "boolean",
      required: false,
      default: false,
      doc: "An own t for each row (the vectors along the last dimension) instead of one for the tensor.",
    },
  ],
  lower(args: LowerArgs) {
    const { base, models } = baseAndModels(args);
    if (base < 0) return baseMissing("model_stock");
    if (models.length === 0) return { kernel: "copy", inputs: [base], params: [] };
    const filterWise = booleanIn(args.parameters, "filter_wise");
    const scratch = filterWise ? scratchFor(models.length, args) : undefined;
    return { kernel: "model_stock", inputs: [base, ...models], params: [Number(filterWise)], scratch };
  },
};

/** All inner products and a coefficient per model, for each row. */
function scratchFor(models: number, { count, columns }: LowerArgs): Scratch | undefined {
  if (count === 0) return undefined;
  return { numbers: ((models * (models + 1)) / 2 + models) * (count / columns) };
}
