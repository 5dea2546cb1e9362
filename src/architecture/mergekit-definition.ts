import { type FloatDtype, parseTorchDtype } from "../model/dtype.ts";
import type { DetailedWeight, FamilyDefinition, Keys, ModuleTemplate, WeightEntry } from "./definition.ts";
import type { Fault, Schema } from "./validate.ts";

/** Whether a JSON value is a definition in mergekit's format, and not in ours. */
export function isMergekitDefinition(value: Readonly<Record<string, unknown>>): boolean {
  return "pre_weights" in value || "layer_templates" in value || "post_weights" in value || value.kind === "modular";
}

interface MergekitWeight {
  name: string;
  is_embed?: boolean;
  optional?: boolean;
  aliases?: readonly string[] | null;
  tied_names?: readonly string[] | null;
  force_dtype?: string | null;
}

interface MergekitModule {
  model_type: string;
  architectures: readonly string[];
  pre_weights: readonly MergekitWeight[];
  layer_templates: { weights: readonly MergekitWeight[] };
  post_weights: readonly MergekitWeight[];
  num_layers_config_key?: string | null;
  override_num_layers?: number | null;
}

interface MergekitModular {
  model_type: string;
  architectures: readonly string[];
  modules: Readonly<
    Record<string, { architecture: MergekitModule; weight_prefix?: string | null; subfolder?: string | null }>
  >;
  tagalong_files?: readonly string[] | null;
  vocab_size_config_key?: string | null;
}

const text: Schema = { type: "string" };
const texts: Schema = { type: "array", items: text };
const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: "null" }] });
const weights: Schema = {
  type: "array",
  items: {
    type: "object",
    required: ["name"],
    properties: {
      name: { type: "string", minLength: 1 },
      is_embed: { type: "boolean" },
      optional: { type: "boolean" },
      aliases: orNull(texts),
      tied_names: orNull(texts),
      force_dtype: orNull(text),
    },
  },
};
const moduleSchema: Schema = {
  type: "object",
  required: ["model_type", "architectures", "pre_weights", "layer_templates", "post_weights"],
  properties: {
    model_type: text,
    architectures: texts,
    pre_weights: weights,
    layer_templates: { type: "object", required: ["weights"], properties: { weights } },
    post_weights: weights,
    num_layers_config_key: orNull(text),
    override_num_layers: orNull({ type: "integer", minimum: 0 }),
  },
};
const modularSchema: Schema = {
  type: "object",
  required: ["model_type", "architectures", "modules"],
  properties: {
    model_type: text,
    architectures: { ...texts, minItems: 1 },
    modules: {
      type: "object",
      minProperties: 1,
      additionalProperties: {
        type: "object",
        required: ["architecture"],
        properties: { architecture: moduleSchema, weight_prefix: orNull(text), subfolder: orNull(text) },
      },
    },
    tagalong_files: orNull(texts),
    vocab_size_config_key: orNull(text),
  },
};

/** What a definition in mergekit's format must look like. Keys that it does not know are ignored there, and here. */
export function mergekitSchema(value: Readonly<Record<string, unknown>>): Schema {
  if (value.kind === "modular") return modularSchema;
  return { ...moduleSchema, properties: { ...moduleSchema.properties, architectures: { ...texts, minItems: 1 } } };
}

/**
 * The same definition in our format. An alias that is the name of another weight is a tie: that weight's tensor stands
 * in where this one is not stored, and need not be stored twice.
 * @param value fits `mergekitSchema`.
 * @returns a fault where it asks for a dtype that weights cannot have.
 */
export function convertMergekit(value: Readonly<Record<string, unknown>>): FamilyDefinition | Fault {
  const whole = value as unknown as MergekitModular & MergekitModule;
  const parts: MergekitModular["modules"] =
    value.kind === "modular" ? whole.modules : { default: { architecture: whole } };
  const wrong = findWrongDtype(parts, value.kind === "modular");
  if (wrong !== undefined) return wrong;
  const vocabSize = whole.vocab_size_config_key;
  return {
    model_types: whole.model_type === "" ? [] : [whole.model_type],
    architectures: whole.architectures as [string, ...string[]],
    config: {
      vocab_size: vocabSize == null ? ["vocab_size", "text_config.vocab_size"] : vocabSize,
      tie: ["tie_word_embeddings", "text_config.tie_word_embeddings"],
      defaults: {},
    },
    modules: Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, convertModule(part)])),
    ...(whole.tagalong_files == null ? {} : { files: whole.tagalong_files }),
  };
}

/** Weights of such a dtype are no numbers to average: they are constants. */
const INTEGER_DTYPE = /^(torch\.)?(u?int(8|16|32|64)|long|int|short|bool)$/;

/** What classes call the number of layers that transformers answers for as `num_hidden_layers`. */
const LAYER_KEYS = ["num_hidden_layers", "n_layers", "n_layer", "num_layers", "text_config.num_hidden_layers"];

function findWrongDtype(parts: MergekitModular["modules"], modular: boolean): Fault | undefined {
  for (const [name, { architecture }] of Object.entries(parts)) {
    for (const { name: weight, force_dtype: dtype } of allWeights(architecture)) {
      if (dtype == null || parseTorchDtype(dtype) !== undefined || INTEGER_DTYPE.test(dtype)) continue;
      return { path: modular ? ["modules", name] : [], message: `${weight}: force_dtype "${dtype}" is no dtype` };
    }
  }
  return undefined;
}

function allWeights({
  pre_weights: pre,
  layer_templates: layer,
  post_weights: post,
}: MergekitModule): MergekitWeight[] {
  return [...pre, ...layer.weights, ...post];
}

function convertModule({
  architecture,
  weight_prefix: prefix,
  subfolder,
}: MergekitModular["modules"][string]): ModuleTemplate {
  const names = new Set(allWeights(architecture).map(({ name }) => name));
  const convert = (list: readonly MergekitWeight[], role: DetailedWeight["role"]): WeightEntry[] =>
    list.map((weight) => convertWeight(weight, role, names, prefix ?? ""));
  const own = architecture.num_layers_config_key ?? "num_hidden_layers";
  const keys: Keys = own === "num_hidden_layers" ? (LAYER_KEYS as [string, ...string[]]) : own;
  return {
    layer_count: architecture.override_num_layers ?? keys,
    ...(subfolder == null ? {} : { subfolder }),
    before: convert(architecture.pre_weights, "embedding"),
    layer: convert(architecture.layer_templates.weights, undefined),
    after: convert(architecture.post_weights, "head"),
  };
}

function convertWeight(
  weight: MergekitWeight,
  role: DetailedWeight["role"],
  names: ReadonlySet<string>,
  prefix: string,
): WeightEntry {
  const aliases = (weight.aliases ?? []).filter((alias) => !names.has(alias));
  const [tie] = [...(weight.tied_names ?? []), ...(weight.aliases ?? [])].filter((name) => names.has(name));
  const foreign = (weight.tied_names ?? []).filter((name) => !names.has(name));
  const { force_dtype: dtype } = weight;
  const isConstant = dtype != null && INTEGER_DTYPE.test(dtype);
  const spelled = (name: string) => prefix + convertName(name);
  const entry: DetailedWeight = {
    name: spelled(weight.name),
    ...(aliases.length + foreign.length > 0 ? { aliases: [...aliases, ...foreign].map(spelled) } : {}),
    ...(tie === undefined ? {} : { tie: spelled(tie) }),
    ...(weight.is_embed === true && role !== undefined ? { role } : {}),
    ...(weight.optional === true ? { optional: true } : {}),
    ...(dtype == null || isConstant ? {} : { dtype: parseTorchDtype(dtype) as FloatDtype }),
    ...(isConstant ? { buffer: true } : {}),
  };
  return Object.keys(entry).length === 1 ? entry.name : entry;
}

function convertName(name: string): string {
  return name.replaceAll("${layer_index", "${layer").replaceAll("${num_layers", "${layers");
}
