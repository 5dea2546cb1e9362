import type { LowerArgs, MergeMethod, MethodInput, ParameterSpec } from "./types.ts";
import { baseMissing, booleanIn, numberIn } from "./values.ts";

/** What tells the members of this family apart. */
interface Variant {
  name: string;
  title: string;
  summary: string;
  formula: string;
  reference: string;
  /** How each difference is thinned out: not at all, to its largest elements, or at random. */
  sparsify: "none" | "magnitude" | "random";
  normalize: boolean;
  rescale: boolean;
}

/** Element counts cannot be negative: marks "keep every element" where `keep` counts. */
const KEEP_ALL = -1;

export const taskArithmetic = taskVectorMethod({
  name: "task_arithmetic",
  title: "Task Arithmetic",
  summary: "Adds the models' differences from the base to it.",
  formula: "out = base + lambda sum_i(w_i d_i), d_i = x_i - base; with normalize, divided by sum_i(w_i)",
  reference: "https://arxiv.org/abs/2212.04089",
  sparsify: "none",
  normalize: false,
  rescale: false,
});

export const ties = taskVectorMethod({
  name: "ties",
  title: "TIES",
  summary: "Keeps the largest differences of each model and adds those that agree with the elected sign.",
  formula:
    "s = sign(sum_i(w_i d_i)), zero counts as positive; out = base + lambda sum(w_i d_i) / sum(w_i) over the i " +
    "whose kept w_i d_i has sign s",
  reference: "https://arxiv.org/abs/2306.01708",
  sparsify: "magnitude",
  normalize: true,
  rescale: false,
});

export const dareLinear = taskVectorMethod({
  name: "dare_linear",
  title: "DARE (linear)",
  summary: "Drops differences at random, scales up what is left and adds it to the base.",
  formula:
    "out = base + lambda sum_i(w_i r_i m_i d_i), m_i random with P(m_i = 1) = density, r_i = L1(d_i) / L1(m_i d_i)",
  reference: "https://arxiv.org/abs/2311.03099",
  sparsify: "random",
  normalize: false,
  rescale: true,
});

export const dareTies = taskVectorMethod({
  name: "dare_ties",
  title: "DARE (TIES)",
  summary: "Drops differences at random, scales up what is left and adds those that agree with the elected sign.",
  formula: "as dare_linear, summed only over the i whose w_i r_i m_i d_i has the sign of their sum, as in ties",
  reference: "https://arxiv.org/abs/2311.03099",
  sparsify: "random",
  normalize: false,
  rescale: true,
});

/**
 * All four share inputs `[base, m_1 … m_k]` and the layout
 * `[lambda, normalize, rescale, weight_1, keep_1, …, weight_k, keep_k]`, truth values as 0 and 1. `keep` is, for
 * `ties`, the number of elements that stay (-1: all); for `dare_*`, the probability that one stays, from 0 to 1;
 * for `task_arithmetic` always -1. Inputs that are the base have no difference and are left out; with none left the
 * base is copied.
 */
function taskVectorMethod(variant: Variant): MergeMethod {
  return {
    name: variant.name,
    title: variant.title,
    summary: variant.summary,
    formula: variant.formula,
    reference: variant.reference,
    base: "required",
    models: { min: 0, max: Number.POSITIVE_INFINITY },
    random: variant.sparsify === "random",
    parameters: parameters(variant),
    lower(args: LowerArgs) {
      const base = args.inputs.findIndex((input) => input.isBase);
      if (base < 0) return baseMissing(variant.name);
      const inputs = [base];
      const params = [
        numberIn(args.parameters, "lambda"),
        Number(booleanIn(args.parameters, "normalize")),
        Number(booleanIn(args.parameters, "rescale")),
      ];
      args.inputs.forEach((input, i) => {
        if (input.isBase) return;
        inputs.push(i);
        params.push(numberIn(input.parameters, "weight"), kept(variant, input, args.count));
      });
      if (inputs.length === 1) return { kernel: "copy", inputs, params: [] };
      return { kernel: variant.name, inputs, params };
    },
  };
}

/** `keep` for one model and a tensor of `count` elements. */
function kept(variant: Variant, input: MethodInput, count: number): number {
  if (variant.sparsify === "none") return KEEP_ALL;
  const density = numberIn(input.parameters, "density");
  if (variant.sparsify === "random") return Math.min(density, 1);
  return density >= 1 ? KEEP_ALL : Math.trunc(density * count);
}

function parameters(variant: Variant): ParameterSpec[] {
  return [
    {
      name: "weight",
      scope: "model",
      type: "number",
      required: true,
      doc: "Factor on this model's difference from the base.",
    },
    {
      name: "density",
      scope: "model",
      type: "number",
      required: false,
      default: 1,
      min: 0,
      doc: {
        none: "Accepted for recipes that carry it; no effect: every difference is kept.",
        magnitude: "Share of the differences that is kept, the largest first; 1 keeps all, 0 none.",
        random: "Probability that a difference is kept; 1 keeps all, 0 none.",
      }[variant.sparsify],
    },
    {
      name: "normalize",
      scope: "global",
      type: "boolean",
      required: false,
      default: variant.normalize,
      doc: "Divide by the sum of the weights that take part in an element.",
    },
    {
      name: "rescale",
      scope: "global",
      type: "boolean",
      required: false,
      default: variant.rescale,
      doc:
        variant.sparsify === "none"
          ? "Accepted for recipes that carry it; no effect: nothing is dropped."
          : "Scale the kept differences so that their sum of magnitudes is that of all.",
    },
    {
      name: "lambda",
      scope: "global",
      type: "number",
      required: false,
      default: 1,
      doc: "Factor on the merged difference before it is added to the base.",
    },
    {
      name: "int8_mask",
      scope: "global",
      type: "boolean",
      required: false,
      default: false,
      doc: "Accepted for recipes that carry it; no effect: no mask is kept in memory.",
    },
  ];
}
