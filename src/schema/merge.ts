import { methods } from "../methods/index.ts";
import type { MergeMethod, ParameterSpec } from "../methods/types.ts";
import { DRAFT, DTYPE, listOf, MODEL_PARTS, mapping, NUMERIC, part, type Schema } from "./parts.ts";

const FORMS = "A value, a gradient (a list of values, spread over the layers), or lines of {filter, value}.";

/** The configuration of a merge: `src/config/read.ts` reads it. */
export function mergeSchema(): Schema {
  return {
    $schema: DRAFT,
    title: "A merge (Sinter, mergekit)",
    ...mapping("What to merge, and how. Exactly one of models, slices and modules.", topLevelKeys(), ["merge_method"]),
    oneOf: oneFilled({ models: "array", slices: "array", modules: "object" }),
    $defs: parts(),
  };
}

/** One of several merges of a file: `src/config/multi.ts`. */
export function multiSchema(): Schema {
  const name = {
    description: "What other merges of the file call the result, as a model. The final merge has none.",
    type: "string",
    pattern: "^[^./\\\\][^/\\\\]*$",
  };
  const description = "One document of a file with several merges, divided by lines of ---.";
  return {
    ...mergeSchema(),
    title: "One of several merges (Sinter, mergekit-multi)",
    ...mapping(description, { name, ...topLevelKeys() }, ["merge_method"]),
  };
}

/** Exactly one of some keys has something in it: one that is empty counts as absent. */
function oneFilled(keys: Readonly<Record<string, "array" | "object">>): Schema[] {
  return Object.entries(keys).map(([name, type]) => ({
    required: [name],
    properties: { [name]: type === "array" ? { type, minItems: 1 } : { type, minProperties: 1 } },
  }));
}

function topLevelKeys(): Record<string, Schema> {
  return {
    merge_method: {
      description: "How the weights are merged. `sinter methods` explains each.",
      type: "string",
      oneOf: methods.map(({ name, summary }) => ({ const: name, description: summary })),
    },
    base_model: part("model", "The model that the others are compared with; some methods need it."),
    models: listOf("Whole models.", part("inputModel")),
    slices: listOf("Stacks of layers, one on the other.", part("slice")),
    modules: {
      description: "Parts of a model with several, each with models or slices of its own: `sinter inspect` names them.",
      type: "object",
      additionalProperties: part("module"),
    },
    parameters: part("parameters", "Parameters for all models and layers."),
    dtype: { ...DTYPE, description: "The dtype of the output, unless out_dtype says otherwise." },
    out_dtype: { ...DTYPE, description: "The dtype of the output." },
    tokenizer_source: part("tokenizerSource", "Short for tokenizer with only a source."),
    tokenizer: mapping("The vocabulary of the output. Models are then merged by token.", {
      source: part("tokenizerSource", "Which tokens there are: union unless given."),
      tokens: {
        description: "Where the rows of single tokens come from.",
        type: "object",
        additionalProperties: part("token"),
      },
      pad_to_multiple_of: {
        description: "Rows of the embedding are filled up to a multiple of this; 0: not at all.",
        type: "integer",
        minimum: 0,
      },
    }),
    chat_template: {
      description: "The output's chat template: auto (the models' most common one), a known name, or a Jinja template.",
      type: "string",
    },
  };
}

function parts(): Record<string, Schema> {
  const scalar: Schema = { anyOf: [...(NUMERIC.anyOf ?? []), { type: "boolean" }] };
  const value: Schema = { anyOf: [scalar, { type: "array", items: scalar, minItems: 1 }] };
  const line = mapping(
    "One line of a filtered parameter; the first that matches counts.",
    {
      filter: { description: "Part of a tensor's name, e.g. self_attn or mlp; * or nothing: all.", type: "string" },
      value: { description: "A value, or a gradient over the layers.", ...value },
    },
    ["value"],
  );
  return {
    ...MODEL_PARTS,
    value: { description: FORMS, anyOf: [value, line, { type: "array", items: line, minItems: 1 }] },
    // A key with nothing after it is one that is still being written, or none.
    parameters: { ...mapping("Parameters of the merge method.", parameterProperties()), type: ["object", "null"] },
    inputModel: mapping(
      "A model that is merged.",
      { model: part("model", "A folder, or a hub id."), parameters: part("parameters", "For this model.") },
      ["model"],
    ),
    slice: mapping(
      "Layers of the output, merged of one range of layers of each source.",
      {
        sources: {
          ...listOf("Layers that are merged with each other: as many of each model.", part("source")),
          minItems: 1,
        },
        base_model: part("model", "The base for these layers, instead of the configuration's."),
        residual_weight: { ...NUMERIC, description: "Accepted and without effect, as in mergekit." },
        parameters: part("parameters", "For these layers."),
      },
      ["sources"],
    ),
    source: mapping(
      "Layers of one model.",
      {
        model: part("model", "A folder, or a hub id."),
        layer_range: {
          description: "[first, end], counted from 0, without the end.",
          type: "array",
          items: { type: "integer", minimum: 0 },
          minItems: 2,
          maxItems: 2,
        },
        parameters: part("parameters", "For this model's layers."),
      },
      ["model", "layer_range"],
    ),
    module: {
      ...mapping("A part of the model: models or slices.", {
        models: listOf("Whole models.", part("inputModel")),
        slices: listOf("Stacks of layers, one on the other.", part("slice")),
        parameters: part("parameters", "For this module."),
      }),
      oneOf: oneFilled({ models: "array", slices: "array" }),
    },
    tokenizerSource: {
      anyOf: [
        { const: "union", description: "Every token of every model." },
        { const: "base", description: "The base model's tokens." },
        part("model", "The tokens of this model."),
      ],
    },
    token: mapping("Where the row of one token comes from.", {
      source: part("tokenSource", "A model, zeros, or another token of a model."),
      force: { description: "Take it for every model, also for those that have the token.", type: "boolean" },
    }),
    tokenSource: {
      anyOf: [
        part("model", "This model's row of the same token."),
        mapping("A row of zeros.", { kind: { const: "zero" } }, ["kind"]),
        mapping(
          "The row of another token: one of token and token_id.",
          {
            kind: { const: "model_token" },
            model: part("model"),
            token: { description: "The token, as its vocabulary has it.", type: "string" },
            token_id: { description: "Its number.", type: "integer" },
          },
          ["kind", "model"],
        ),
      ],
    },
  };
}

/** Every parameter of every method, with who takes it. */
function parameterProperties(): Record<string, Schema> {
  const takers = new Map<string, { spec: ParameterSpec; method: MergeMethod }[]>();
  for (const method of methods) {
    for (const spec of method.parameters) takers.set(spec.name, [...(takers.get(spec.name) ?? []), { spec, method }]);
  }
  return Object.fromEntries(
    [...takers]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, all]) => [name, part("value", parameterText(all))]),
  );
}

function parameterText(takers: readonly { spec: ParameterSpec; method: MergeMethod }[]): string {
  const docs = Map.groupBy(takers, ({ spec }) => spec.doc);
  return [...docs].map(([doc, users]) => `${users.map(({ method }) => method.name).join(", ")}: ${doc}`).join(" ");
}
