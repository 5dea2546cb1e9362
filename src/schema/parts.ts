import { torchDtypeNames } from "../model/dtype.ts";

/** A JSON Schema (draft 2020-12), as far as it is used here. */
export interface Schema {
  $schema?: string;
  $ref?: string;
  $defs?: Readonly<Record<string, Schema>>;
  title?: string;
  description?: string;
  type?: string | readonly string[];
  enum?: readonly (string | number | boolean | null)[];
  const?: string;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  minimum?: number;
  maximum?: number;
  pattern?: string;
  default?: string | number | boolean;
  anyOf?: readonly Schema[];
  oneOf?: readonly Schema[];
}

export const DRAFT = "https://json-schema.org/draft/2020-12/schema";

/** A mapping with these keys and no others. */
export function mapping(
  description: string,
  properties: Readonly<Record<string, Schema>>,
  required: readonly string[] = [],
): Schema {
  return {
    description,
    type: "object",
    properties,
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
}

export function listOf(description: string, items: Schema): Schema {
  return { description, type: "array", items };
}

/** A part under `$defs`, with what it is for at this place. */
export function part(name: string, description?: string): Schema {
  return { ...(description === undefined ? {} : { description }), $ref: `#/$defs/${name}` };
}

/** Also as PyTorch writes them: torch.bfloat16. */
export const DTYPE: Schema = {
  type: "string",
  anyOf: [{ enum: torchDtypeNames }, { pattern: `^torch\\.(${torchDtypeNames.join("|")})$` }],
};

/** A number, or text that spells one: YAML 1.1 reads 1e-3 as text. */
export const NUMERIC: Schema = {
  anyOf: [{ type: "number" }, { type: "string", pattern: "^[+-]?[0-9.]+([eE][+-]?[0-9]+)?$" }],
};

/** `$defs` of models, as \`src/config/model-ref.ts\` reads them. */
export const MODEL_PARTS: Readonly<Record<string, Schema>> = {
  model: {
    description: "A model: a folder, or a hub id. As text: path@revision+adapter@revision.",
    anyOf: [
      { type: "string" },
      mapping(
        "A model whose path stands as it is, so that it may hold @ and +.",
        {
          path: { description: "A folder, or a hub id.", type: "string" },
          revision: { description: "A branch, a tag or a commit.", type: "string" },
          lora: part("modelPath", "An adapter that is applied to the model first."),
          override_architecture: { description: "The class to read the model as.", type: "string" },
        },
        ["path"],
      ),
      mapping(
        "A model, and how to take it.",
        {
          model: part("modelPath", "A folder, or a hub id."),
          lora: part("modelPath", "An adapter that is applied to the model first."),
          override_architecture: { description: "The class to read the model as.", type: "string" },
        },
        ["model"],
      ),
    ],
  },
  modelPath: {
    anyOf: [
      { type: "string" },
      mapping(
        "A path that stands as it is, and a revision.",
        {
          path: { description: "A folder, or a hub id.", type: "string" },
          revision: { description: "A branch, a tag or a commit.", type: "string" },
        },
        ["path"],
      ),
    ],
  },
};
