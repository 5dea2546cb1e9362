import { baseAndModels, inputsAt } from "./base.ts";
import { SPARSIFY, type Sparsify } from "./sparsify.ts";
import type { LowerArgs, MergeMethod, ParameterSpec } from "./types.ts";
import { baseMissing, booleanIn, numberIn } from "./values.ts";

/** What tells the members of this family apart. */
interface Variant {
  name: string;
  title: string;
  summary: string;
  formula: string;
  use: string;
  reference: string;
  sparsify: Sparsify;
  normalize: boolean;
  rescale: boolean;
}

const NAIVE_COUNT: ParameterSpec = {
  name: "naive_count",
  scope: "global",
  type: "boolean",
  required: false,
  default: false,
  doc: "Elect the sign that most of the kept differences have, whatever their weights and magnitudes.",
};

export const taskArithmetic = taskVectorMethod({
  name: "task_arithmetic",
  title: "Task Arithmetic",
  summary: "Adds the models' differences from the base to it.",
  formula: "out = base + lambda sum_i(w_i d_i), d_i = x_i - base; with normalize, divided by sum_i(w_i)",
  use: "Adding skills of fine-tunes to their base, or, with a negative weight, taking one away.",
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
  use: "Several fine-tunes of one base that would get in each other's way if their differences were just added.",
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
  use: "Fine-tunes with many small redundant differences: fewer of them overlap.",
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
  use: "As dare_linear, where the differences that still overlap disagree.",
  reference: "https://arxiv.org/abs/2311.03099",
  sparsify: "random",
  normalize: false,
  rescale: true,
});

export const breadcrumbs = taskVectorMethod({
  name: "breadcrumbs",
  title: "Model Breadcrumbs",
  summary: "Drops the very largest and the small differences of each model, and adds the rest to the base.",
  formula:
    "out = base + lambda sum_i(w_i m_i d_i), m_i = 0 for the gamma n largest of the n magnitudes |d_i|, 1 for the next " +
    "density n, 0 for the rest",
  use: "Many fine-tunes of one base: neither outliers nor noise of one of them should show in the others' skills.",
  reference: "https://arxiv.org/abs/2312.06795",
  sparsify: "outliers",
  normalize: false,
  rescale: false,
});

export const breadcrumbsTies = taskVectorMethod({
  name: "breadcrumbs_ties",
  title: "Model Breadcrumbs (TIES)",
  summary: "As breadcrumbs, and adds only the differences that agree with the elected sign.",
  formula: "as breadcrumbs, summed only over the i whose w_i m_i d_i has the sign of their sum, as in ties",
  use: "As breadcrumbs, where the models' differences often disagree in sign.",
  reference: "https://arxiv.org/abs/2312.06795",
  sparsify: "outliers",
  normalize: false,
  rescale: false,
});

export const dellaLinear = taskVectorMethod({
  name: "della_linear",
  title: "DELLA (linear)",
  summary: "Drops differences at random, small ones more often, scales up what is left and adds it to the base.",
  formula:
    "as dare_linear, with P(m_i = 1) from density - epsilon for the smallest magnitude of a row to density + epsilon for " +
    "the largest, in equal steps by rank",
  use: "As dare_linear, where large differences matter more than small ones.",
  reference: "https://arxiv.org/abs/2406.11617",
  sparsify: "ranked",
  normalize: false,
  rescale: true,
});

export const della = taskVectorMethod({
  name: "della",
  title: "DELLA",
  summary: "As della_linear, and adds only the differences that agree with the elected sign.",
  formula: "as della_linear, summed only over the i whose w_i r_i m_i d_i has the sign of their sum, as in ties",
  use: "As dare_ties, where large differences matter more than small ones.",
  reference: "https://arxiv.org/abs/2406.11617",
  sparsify: "ranked",
  normalize: true,
  rescale: true,
});

/**
 * All share inputs `[base, m_1 … m_k]` and `params`: `[lambda, normalize, rescale]`, truth values as 0 and 1, then for
 * each model its weight and the numbers that src/methods/sparsify.ts describes.
 *
 * Inputs that are the base have no difference and are left out; with none left the base is copied.
 */
function taskVectorMethod(variant: Variant): MergeMethod {
  const { sparsify, normalize: _, rescale: __, ...described } = variant;
  const thinning = SPARSIFY[sparsify];
  return {
    ...described,
    base: "required",
    ownDtype: "base",
    models: { min: 1, max: Number.POSITIVE_INFINITY },
    random: sparsify === "random" || sparsify === "ranked",
    parameters: parameters(variant),
    lower(args: LowerArgs) {
      const { base, models } = baseAndModels(args);
      if (base < 0) return baseMissing(variant.name);
      if (models.length === 0) return { kernel: "copy", inputs: [base], params: [] };
      const inputs = inputsAt(args, models);
      const fault = inputs.map((input) => thinning.fault?.(input)).find((problem) => problem !== undefined);
      if (fault !== undefined) return fault;
      const params = [
        numberIn(args.parameters, "lambda"),
        Number(booleanIn(args.parameters, "normalize")),
        Number(booleanIn(args.parameters, "rescale")),
      ];
      for (const input of inputs) {
        params.push(numberIn(input.parameters, "weight"), ...thinning.numbers(input, args.count));
      }
      const thinned = inputs.filter((input) => numberIn(input.parameters, "density") < 1).length;
      const scratch = thinned === 0 ? undefined : thinning.scratch?.(thinned, args);
      const counted = booleanIn(args.parameters, "naive_count");
      return { kernel: counted ? `${variant.name}_count` : variant.name, inputs: [base, ...models], params, scratch };
    },
  };
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
      doc: SPARSIFY[variant.sparsify].densityDoc,
    },
    ...SPARSIFY[variant.sparsify].parameters,
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
    ...(variant.name === "ties" ? [NAIVE_COUNT] : []),
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
