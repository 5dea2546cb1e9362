import { baseAndModels, inputsAt } from "./base.ts";
import type { LowerArgs, MergeMethod, Scratch } from "./types.ts";
import { booleanIn, numberIn } from "./values.ts";

/** Weights whose sum is smaller than this cancel out: half-way between the models. */
const CANCELLED = 1e-6;

/** What counts as one vector, as the kernel's last number: the whole tensor, or its last or first dimension. */
const VECTORS = { whole: 0, lastDimension: 1, firstDimension: 2 } as const;
type Vectors = (typeof VECTORS)[keyof typeof VECTORS];

/**
 * Kernels `nuslerp` of two models and `nuslerp_base` of the base and two models: `params` is `[t, vectors]`. One
 * input alone, or the base with no model besides it: `copy`.
 */
export const nuslerp: MergeMethod = {
  name: "nuslerp",
  title: "NuSLERP",
  summary: "Spherical interpolation between two models by weights, or between their differences from a base.",
  formula:
    "out = [base +] (sin((1 - t) a) v_1 + sin(t a) v_2) / sin(a), t = w_2 / (w_1 + w_2), a = angle(v_1, v_2), " +
    "v = x [- base]; where |sin a| < 1e-8: out = [base +] (1 - t) v_1 + t v_2",
  use: "As slerp, with weights instead of a position; with base_model, for two fine-tunes whose changes should be mixed.",
  reference: "https://en.wikipedia.org/wiki/Slerp",
  base: "optional",
  ownDtype: "widest",
  models: { min: 2, max: 2 },
  random: false,
  parameters: [
    {
      name: "weight",
      scope: "model",
      type: "number",
      required: true,
      doc: "Share of this model: only the ratio of the two weights matters. Weights that sum to zero count as equal.",
    },
    {
      name: "nuslerp_flatten",
      scope: "global",
      type: "boolean",
      required: false,
      default: true,
      doc: "The whole tensor is one vector; otherwise each row is one, or each column.",
    },
    {
      name: "nuslerp_row_wise",
      scope: "global",
      type: "boolean",
      required: false,
      default: false,
      doc: "Without nuslerp_flatten: vectors along the first dimension (columns) instead of the last (rows).",
    },
  ],
  lower(args: LowerArgs) {
    const { base, models } = baseAndModels(args);
    if (args.inputs.length === 1) return { kernel: "copy", inputs: [0], params: [] };
    if (models.length === 0) return { kernel: "copy", inputs: [base], params: [] };
    const [first = 0, second = 0] = inputsAt(args, models).map((input) => numberIn(input.parameters, "weight"));
    const sum = first + second;
    const t = Math.abs(sum) < CANCELLED ? 0.5 : second / sum;
    const vectors = vectorsOf(args);
    const params = [t, vectors];
    const scratch = scratchFor(vectors, args);
    if (base < 0) return { kernel: "nuslerp", inputs: models, params, scratch };
    return { kernel: "nuslerp_base", inputs: [base, ...models], params, scratch };
  },
};

function vectorsOf({ parameters }: LowerArgs): Vectors {
  if (booleanIn(parameters, "nuslerp_flatten")) return VECTORS.whole;
  return booleanIn(parameters, "nuslerp_row_wise") ? VECTORS.firstDimension : VECTORS.lastDimension;
}

/** Three inner products and two coefficients for each vector. */
function scratchFor(vectors: Vectors, { count, rows, columns }: LowerArgs): Scratch | undefined {
  if (vectors === VECTORS.whole || count === 0) return undefined;
  return { numbers: 5 * (vectors === VECTORS.firstDimension ? count / rows : count / columns) };
}
