/**
 * Names of what models store and do not learn: tables of positions, decays, and the bounds that values are clipped to, which
 * are infinite where nothing is clipped. To average them says nothing, and the difference of two infinities is no number.
 */
const CONSTANT = new RegExp(
  [
    /(^|\.)(rotary_(pos_)?emb|rotary_embeddings)\.(inv_freq|cos_cached|sin_cached)$/,
    /(^|\.)embeddings\.position_ids$/,
    /(^|\.)attn\.masked_bias$/,
    /\.(input|output)_(min|max)$/,
    /\.self_attn\.(slope_rate|(query|key|diagonal)_decay)$/,
  ]
    .map(({ source }) => source)
    .join("|"),
);

/** Whether a tensor of this name is copied as it is, in a model that no family describes or beside what one describes. */
export function isConstant(name: string): boolean {
  return CONSTANT.test(name);
}
