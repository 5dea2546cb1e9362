import { DRAFT, DTYPE, listOf, MODEL_PARTS, mapping, NUMERIC, part, type Schema } from "./parts.ts";

/** The configuration of a mixture of experts: `src/moe/config.ts` reads it. */
export function mixtureSchema(): Schema {
  return {
    $schema: DRAFT,
    title: "A mixture of experts (Sinter, mergekit-moe)",
    ...mapping(
      "Dense models that become the experts of one model.",
      {
        base_model: part("model", "Gives the attention, the norms and the embeddings."),
        experts: { ...listOf("The experts, in their order.", part("expert")), minItems: 1 },
        shared_experts: listOf("Experts that work on every token, where the architecture has such.", part("expert")),
        gate_mode: {
          description:
            "Where the routers come from. hidden_last (hidden is its older name): the base's hidden states at the last " +
            "token of each prompt; hidden_avg: their average; cheap_embed: the embeddings of the prompts' tokens; random and " +
            "uniform_random: chance.",
          type: "string",
          enum: ["hidden", "hidden_last", "hidden_avg", "cheap_embed", "random", "uniform_random"],
          default: "hidden_last",
        },
        dtype: { ...DTYPE, description: "The dtype of the output." },
        experts_per_token: {
          description: "How many experts work on a token.",
          type: "integer",
          minimum: 1,
          default: 2,
        },
        architecture: { description: "What the output is: chosen to fit the models unless given.", type: "string" },
      },
      ["base_model", "experts"],
    ),
    $defs: {
      ...MODEL_PARTS,
      expert: mapping(
        "One expert.",
        {
          source_model: part("model", "Gives the feed-forward parts."),
          positive_prompts: listOf("Texts that the expert is for.", { type: "string" }),
          negative_prompts: listOf("Texts that it is not for.", { type: "string" }),
          noise_scale: {
            ...NUMERIC,
            description: "Standard deviation of noise that is added to its weights.",
            default: 0,
          },
          residual_scale: { ...NUMERIC, description: "Factor of what it adds to the residual stream.", default: 1 },
        },
        ["source_model"],
      ),
    },
  };
}

/** A stack of layers as bakllama's configurations say it: `src/config/bakllama.ts` reads it. */
export function stackSchema(): Schema {
  return {
    $schema: DRAFT,
    title: "A stack of layers (Sinter, bakllama)",
    ...mapping(
      "Layers of several models, one on the other.",
      {
        layer_slices: { ...listOf("From the first layer to the last.", part("layers")), minItems: 1 },
        embedding_source: part("model", "Gives what comes before the layers: the first slice's model unless given."),
        lm_head_source: part("model", "Gives what comes after the layers: the last slice's model unless given."),
      },
      ["layer_slices"],
    ),
    $defs: {
      ...MODEL_PARTS,
      layers: mapping(
        "Layers of one model.",
        {
          model: part("model"),
          start: { description: "The first layer, counted from 0.", type: "integer", minimum: 0 },
          end: { description: "The layer after the last.", type: "integer", minimum: 1 },
          scale: { ...NUMERIC, description: "Factor of what the layers' feed-forward parts add." },
        },
        ["model", "start", "end"],
      ),
    },
  };
}
