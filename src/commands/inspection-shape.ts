/** Keys of config.json under which families keep the same number, by what it is called here. */
const KEYS = {
  hidden: ["hidden_size", "n_embd", "d_model", "dim"],
  "feed-forward": ["intermediate_size", "ffn_dim", "n_inner", "d_ff"],
  heads: ["num_attention_heads", "n_head", "num_heads"],
  "key-value heads": ["num_key_value_heads", "num_kv_heads"],
  experts: ["num_local_experts", "num_experts", "n_routed_experts"],
  "experts a token": ["num_experts_per_tok", "num_experts_per_token", "top_k_experts"],
  context: ["max_position_embeddings", "n_positions", "max_seq_len"],
} as const;

/** The sizes that decide a model's tensors, as config.json has them, in the order in which they are said. */
export function shapeFacts(config: Readonly<Record<string, unknown>>): Record<string, number> {
  // Models with an encoder for pictures keep those of the language model apart.
  const inner = config.text_config;
  const all = typeof inner === "object" && inner !== null ? { ...config, ...inner } : config;
  const facts = Object.entries(KEYS).flatMap(([name, keys]) => {
    const value = keys.map((key) => (all as Record<string, unknown>)[key]).find((one) => typeof one === "number");
    return value === undefined ? [] : [[name, value as number] as const];
  });
  return Object.fromEntries(facts);
}
