/** Parts of a model that effects are summed over, in the order in which they are shown. */
export const PARTS = ["embedding", "attention", "mlp", "norm", "head", "other"] as const;
export type Part = (typeof PARTS)[number];

/**
 * What names of tensors have in common, in the families that Sinter knows and their relatives; the first that matches
 * counts, so that `self_attn.q_norm` is a norm and `attention.output` is attention.
 */
const RULES: readonly (readonly [Part, RegExp])[] = [
  ["norm", /norm|(^|\.)ln_/i],
  ["head", /(^|\.)(lm_head|score|classifier|embed_out)\./],
  ["attention", /attn|attention/i],
  ["mlp", /mlp|ffn|feed_forward|moe|experts/i],
  ["embedding", /embed|(^|\.)w[tp]e\./i],
];

/** The part of the model that a tensor belongs to, by its name alone. */
export function partOf(tensor: string): Part {
  return RULES.find(([, pattern]) => pattern.test(tensor))?.[0] ?? "other";
}
