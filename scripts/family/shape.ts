/** The numbers of a Qwen2 config.json that decide its tensors. */
export interface FamilyShape {
  hidden: number;
  intermediate: number;
  layers: number;
  heads: number;
  kvHeads: number;
  vocab: number;
}

/** Qwen2-0.5B: 494 million parameters, 988 MB in bfloat16. */
export const QWEN2_05B: FamilyShape = {
  hidden: 896,
  intermediate: 4864,
  layers: 24,
  heads: 14,
  kvHeads: 2,
  vocab: 151936,
};

/** The widths of Qwen2-0.5B, with three layers and a small vocabulary: 97 MB. */
export const DEMO: FamilyShape = { ...QWEN2_05B, layers: 3, vocab: 4096 };

/** A tensor of the family, and how its base values are spread. */
export interface FamilyTensor {
  name: string;
  shape: readonly number[];
  mean: number;
  std: number;
}

/** All tensors of a model with tied embeddings (so without `lm_head.weight`), under Qwen2's names. */
export function familyTensors(shape: FamilyShape): FamilyTensor[] {
  const { hidden, intermediate } = shape;
  const kv = (hidden / shape.heads) * shape.kvHeads;
  const matrix = (name: string, ...dims: number[]): FamilyTensor => ({ name, shape: dims, mean: 0, std: 0.02 });
  const bias = (name: string, size: number): FamilyTensor => ({ name, shape: [size], mean: 0, std: 0.1 });
  const norm = (name: string): FamilyTensor => ({ name, shape: [hidden], mean: 1, std: 0.05 });
  const layer = (index: number): FamilyTensor[] => {
    const at = `model.layers.${index}`;
    return [
      norm(`${at}.input_layernorm.weight`),
      matrix(`${at}.mlp.down_proj.weight`, hidden, intermediate),
      matrix(`${at}.mlp.gate_proj.weight`, intermediate, hidden),
      matrix(`${at}.mlp.up_proj.weight`, intermediate, hidden),
      norm(`${at}.post_attention_layernorm.weight`),
      bias(`${at}.self_attn.k_proj.bias`, kv),
      matrix(`${at}.self_attn.k_proj.weight`, kv, hidden),
      matrix(`${at}.self_attn.o_proj.weight`, hidden, hidden),
      bias(`${at}.self_attn.q_proj.bias`, hidden),
      matrix(`${at}.self_attn.q_proj.weight`, hidden, hidden),
      bias(`${at}.self_attn.v_proj.bias`, kv),
      matrix(`${at}.self_attn.v_proj.weight`, kv, hidden),
    ];
  };
  return [
    matrix("model.embed_tokens.weight", shape.vocab, hidden),
    ...Array.from({ length: shape.layers }, (_, index) => layer(index)).flat(),
    norm("model.norm.weight"),
  ];
}

/** config.json of a model of this shape. */
export function familyConfig(shape: FamilyShape, endOfText: number): Record<string, unknown> {
  return {
    architectures: ["Qwen2ForCausalLM"],
    attention_dropout: 0.0,
    bos_token_id: endOfText,
    eos_token_id: endOfText,
    hidden_act: "silu",
    hidden_size: shape.hidden,
    initializer_range: 0.02,
    intermediate_size: shape.intermediate,
    max_position_embeddings: 32768,
    max_window_layers: shape.layers,
    model_type: "qwen2",
    num_attention_heads: shape.heads,
    num_hidden_layers: shape.layers,
    num_key_value_heads: shape.kvHeads,
    rms_norm_eps: 1e-6,
    rope_theta: 1000000.0,
    sliding_window: 32768,
    tie_word_embeddings: true,
    torch_dtype: "bfloat16",
    use_cache: true,
    use_sliding_window: false,
    vocab_size: shape.vocab,
  };
}
