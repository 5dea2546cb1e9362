import { baseAndModels } from "./base.ts";
import type { LowerArgs, MergeMethod, Scratch } from "./types.ts";
import { baseMissing } from "./values.ts";

/** Kernel `arcee_fusion`: inputs are the base and the other model, no numbers. One model, or the base alone: `copy`. */
export const arceeFusion: MergeMethod = {
  name: "arcee_fusion",
  title: "Arcee Fusion",
  summary: "Takes over the other model's elements whose change matters most, and leaves the rest at the base.",
  formula:
    "out = base + d where i >= median(i) + 1.5 (q3(i) - q1(i)), else base; d = other - base, i = |d| KL(softmax(row of " +
    "other), softmax(row of base)), the median and quartiles over the whole tensor",
  use: "Updating a model with the most telling changes of another, without parameters to choose.",
  reference: "https://arcee.ai",
  base: "required",
  ownDtype: "widest",
  models: { min: 1, max: 1 },
  random: false,
  parameters: [],
  lower(args: LowerArgs) {
    if (args.inputs.length === 1) return { kernel: "copy", inputs: [0], params: [] };
    const { base, models } = baseAndModels(args);
    if (base < 0) return baseMissing("arcee_fusion");
    if (models.length === 0) return { kernel: "copy", inputs: [base], params: [] };
    return { kernel: "arcee_fusion", inputs: [base, ...models], params: [], scratch: scratchFor(args) };
  },
};

/** Median and quartiles are selected; each row has a divergence. */
function scratchFor({ count, columns }: LowerArgs): Scratch | undefined {
  return count === 0 ? undefined : { selections: 3, numbers: count / columns, row: columns };
}
