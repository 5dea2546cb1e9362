type Config = Readonly<Record<string, unknown>>;

/** Keys that decide what a model is. Others may differ: the reference saves what transformers makes of the donor's. */
const MEANING = [
  "architectures",
  "model_type",
  "vocab_size",
  "hidden_size",
  "intermediate_size",
  "num_hidden_layers",
  "num_attention_heads",
  "num_key_value_heads",
  "head_dim",
  "layer_types",
  "n_embd",
  "n_layer",
  "n_head",
  "n_positions",
  "max_position_embeddings",
];

/** Families whose head is tied where config.json does not say. */
const TIED_BY_DEFAULT = /^(gpt2|gemma|bert|t5|opt)/;

/** The first key in which two config.json files do not mean the same. Keys that only the reference has were added. */
export function configFault(ours: Config, theirs: Config): string | undefined {
  for (const key of MEANING) {
    if (ours[key] === undefined || theirs[key] === undefined) continue;
    if (!Bun.deepEquals(ours[key], theirs[key])) return difference(key, ours[key], theirs[key]);
  }
  if (dtypeOf(ours) !== dtypeOf(theirs)) return difference("dtype", dtypeOf(ours), dtypeOf(theirs));
  if (isTied(ours) !== isTied(theirs)) return difference("tie_word_embeddings", isTied(ours), isTied(theirs));
  return undefined;
}

function difference(key: string, ours: unknown, theirs: unknown): string {
  return `config.json: ${key} is ${JSON.stringify(ours)}, should be ${JSON.stringify(theirs)}`;
}

function dtypeOf(config: Config): unknown {
  return config.dtype ?? config.torch_dtype;
}

function isTied(config: Config): boolean {
  const tie = config.tie_word_embeddings;
  return typeof tie === "boolean" ? tie : TIED_BY_DEFAULT.test(String(config.model_type));
}
