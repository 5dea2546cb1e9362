import type { LowerArgs, MergeMethod } from "./types.ts";
import { LEAST_POSITIVE, numberIn } from "./values.ts";

/** Kernel `karcher`: all inputs in their order, a base like the others; `params` is `[max_iter, tol]`. One: `copy`. */
export const karcher: MergeMethod = {
  name: "karcher",
  title: "Karcher mean",
  summary: "The Riemannian mean of the models on the sphere: the point nearest to all of them along its surface.",
  formula:
    "out = mean_i(|x_i|) u, u the unit vector that minimises sum_i(angle(u, x_i)^2), found by repeated averages of the " +
    "x_i / |x_i| in the tangent space at u",
  use: "Two or more models of equal standing, none of which is a base; a base_model counts as one more.",
  reference: "https://en.wikipedia.org/wiki/Fr%C3%A9chet_mean",
  base: "member",
  ownDtype: "widest",
  models: { min: 1, max: Number.POSITIVE_INFINITY },
  random: false,
  parameters: [
    {
      name: "max_iter",
      scope: "global",
      type: "number",
      required: false,
      default: 10,
      min: 0,
      doc: "Most iterations; 0 gives the direction of the plain mean of directions.",
    },
    {
      name: "tol",
      scope: "global",
      type: "number",
      required: false,
      default: 1e-5,
      min: 0,
      doc: "The iteration ends at a step shorter than this; models whose norm is not above it have no direction.",
    },
  ],
  lower(args: LowerArgs) {
    const inputs = args.inputs.map((_, i) => i);
    if (inputs.length === 1) return { kernel: "copy", inputs, params: [] };
    const iterations = Math.trunc(numberIn(args.parameters, "max_iter"));
    const tolerance = Math.max(numberIn(args.parameters, "tol"), LEAST_POSITIVE);
    return { kernel: "karcher", inputs, params: [iterations, tolerance] };
  },
};
