import type { LowerArgs, MergeMethod } from "./types.ts";
import { baseMissing, numberIn } from "./values.ts";

/** Kernel `slerp`: inputs are the base and the other model, `params` is `[t]`. One model, or the base alone: `copy`. */
export const slerp: MergeMethod = {
  name: "slerp",
  title: "SLERP",
  summary: "Spherical interpolation between two models, tensor by tensor; one of them is base_model.",
  formula:
    "out = sin((1 - t) a) / sin(a) base + sin(t a) / sin(a) other, a = angle(base, other); " +
    "nearly parallel (|cos a| > 0.9995): out = (1 - t) base + t other",
  use: "Two models whose weights should keep their size on the way between them; t may differ by layer and by kind of tensor.",
  reference: "https://en.wikipedia.org/wiki/Slerp",
  base: "required",
  ownDtype: "base",
  models: { min: 1, max: 1 },
  random: false,
  parameters: [
    {
      name: "t",
      scope: "global",
      type: "number",
      required: true,
      doc: "Place between the models: 0 is base_model, 1 the other.",
    },
  ],
  lower(args: LowerArgs) {
    if (args.inputs.length === 1) return { kernel: "copy", inputs: [0], params: [] };
    const base = args.inputs.findIndex((input) => input.isBase);
    if (base < 0) return baseMissing("slerp");
    const other = args.inputs.findIndex((input) => !input.isBase);
    if (other < 0) return { kernel: "copy", inputs: [base], params: [] };
    return { kernel: "slerp", inputs: [base, other], params: [numberIn(args.parameters, "t")] };
  },
};
