import { baseAndModels } from "./base.ts";
import type { LowerArgs, MergeMethod } from "./types.ts";
import { baseMissing, numberIn } from "./values.ts";

/** Kernel `nearswap`: inputs are the base and the other model, `params` is `[t]`. The base alone: `copy`. */
export const nearswap: MergeMethod = {
  name: "nearswap",
  title: "NearSwap",
  summary: "Takes the other model's element where it is near the base's, and stays at the base where it is far.",
  formula: "out = s other + (1 - s) base, s = clamp(t / max(|other - base|, 1e-6), 0, 1)",
  use: "Giving a strong base model a touch of another without letting its large differences through.",
  reference: "https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001",
  base: "required",
  ownDtype: "widest",
  models: { min: 1, max: 1 },
  random: false,
  parameters: [
    {
      name: "t",
      scope: "global",
      type: "number",
      required: true,
      doc: "Distance up to which the other model's element is taken whole; beyond it the result moves by t.",
    },
  ],
  lower(args: LowerArgs) {
    const { base, models } = baseAndModels(args);
    if (base < 0) return baseMissing("nearswap");
    if (models.length === 0) return { kernel: "copy", inputs: [base], params: [] };
    return { kernel: "nearswap", inputs: [base, ...models], params: [numberIn(args.parameters, "t")] };
  },
};
