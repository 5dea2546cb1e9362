/** Layers that OpenAI's models store as [inputs, outputs], the other way round than all others. */
const CONV1D = /(^|\.)(c_attn|c_proj|c_fc|q_attn)$/;
const TYPES: ReadonlySet<unknown> = new Set(["gpt2", "openai-gpt", "imagegpt", "decision_transformer"]);

/** @param path of the module, `.weight` left out. */
export function isConv1d(modelType: unknown, path: string): boolean {
  return TYPES.has(modelType) && CONV1D.test(path);
}
