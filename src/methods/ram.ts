import { baseAndModels } from "./base.ts";
import type { LowerArgs, MergeMethod, ParameterSpec } from "./types.ts";
import { baseMissing, numberIn } from "./values.ts";

const EPSILON: ParameterSpec = {
  name: "epsilon",
  scope: "global",
  type: "number",
  required: false,
  default: 1e-5,
  min: 0,
  doc: "A model changed an element where it differs from the base by more than this.",
};

/** Kernel `ram`: inputs are the base and the models, `params` is `[epsilon]`. With no model the base is copied. */
export const ram: MergeMethod = {
  name: "ram",
  title: "Reinforced Agent Merging",
  summary: "Adds what a single model changed as it is, and the average of what several models changed.",
  formula:
    "out = base + sum(d_i) / n over the n models with |d_i| > epsilon, d_i = x_i - base; smaller differences count as none",
  use: "Fine-tunes that each changed a small, mostly different part of the base, as reinforcement learning does.",
  reference: "https://arxiv.org/abs/2601.13572",
  base: "required",
  ownDtype: "widest",
  models: { min: 1, max: Number.POSITIVE_INFINITY },
  random: false,
  parameters: [EPSILON],
  lower: (args: LowerArgs) => lowerAs("ram", args, [numberIn(args.parameters, "epsilon")]),
};

/** Kernel `ramplus_tl`: as `ram`, `params` is `[epsilon, r, alpha]`. */
export const ramPlus: MergeMethod = {
  name: "ramplus_tl",
  title: "Reinforced Agent Merging Plus (tensor-local)",
  summary: "As ram, and amplifies what a single model changed by how much of its change it shares with others.",
  formula:
    "as ram, but where only model i changed an element: out = base + (1 + r clamp(p_i, 0, alpha)) d_i, p_i = elements " +
    "that i and others changed / max(elements that i alone changed, epsilon), counted in each tensor",
  use: "As ram, where the average of shared changes weakens a model that overlaps with the others.",
  reference: "https://arxiv.org/abs/2601.13572",
  base: "required",
  ownDtype: "widest",
  models: { min: 1, max: Number.POSITIVE_INFINITY },
  random: false,
  parameters: [
    EPSILON,
    {
      name: "r",
      scope: "global",
      type: "number",
      required: false,
      default: 0.1,
      doc: "How strongly overlap amplifies what a single model changed.",
    },
    {
      name: "alpha",
      scope: "global",
      type: "number",
      required: false,
      default: 0.2,
      doc: "Upper bound of the overlap.",
    },
  ],
  lower(args: LowerArgs) {
    const numbers = ["epsilon", "r", "alpha"].map((name) => numberIn(args.parameters, name));
    return lowerAs("ramplus_tl", args, numbers);
  },
};

function lowerAs(kernel: string, args: LowerArgs, params: readonly number[]) {
  const { base, models } = baseAndModels(args);
  if (base < 0) return baseMissing(kernel);
  if (models.length === 0) return { kernel: "copy", inputs: [base], params: [] };
  return { kernel, inputs: [base, ...models], params };
}
