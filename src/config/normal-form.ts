import { torchName } from "../model/dtype.ts";
import { formatModelRef, type ModelPath, type ModelRef, parseModelRef } from "../model/ref.ts";
import type {
  Composition,
  ConditionalValue,
  MergeConfig,
  NamedModel,
  Parameters,
  Scalar,
  TokenizerConfig,
  TokenSource,
} from "./types.ts";
import type { YamlValue } from "./write-yaml.ts";

type Mapping = { readonly [key: string]: YamlValue | undefined };

/**
 * A configuration with everything spelt out, as a value for `writeYaml`: what is not set is null, `out_dtype` is what it
 * comes to, and every parameter that has a default has it at the outermost level, where it counts last. Reading what is
 * written gives the same plan, and the same text again.
 * @param defaults of the method's parameters.
 */
export function normalForm(config: MergeConfig, defaults: ReadonlyMap<string, Scalar>): Mapping {
  const { dtype, outDtype = dtype, tokenizer, chatTemplate, body } = config;
  return {
    merge_method: config.mergeMethod,
    base_model: config.baseModel === undefined ? null : modelValue(config.baseModel),
    ...(body.kind === "whole"
      ? composition(body.composition)
      : {
          modules: Object.fromEntries(
            [...body.modules].map(([name, module]) => [
              name,
              { ...composition(module.composition), parameters: parameters(module.parameters) },
            ]),
          ),
        }),
    parameters: parameters(withDefaults(config.parameters, defaults)),
    dtype: dtype === undefined ? null : torchName(dtype),
    out_dtype: outDtype === undefined ? null : torchName(outDtype),
    tokenizer: tokenizer === undefined ? null : tokenizerValue(tokenizer),
    chat_template: chatTemplate?.text ?? null,
  };
}

function composition(value: Composition): Mapping {
  if (value.kind === "models") {
    return {
      models: value.models.map((input) => withParameters({ model: modelValue(input.model) }, input.parameters)),
    };
  }
  return {
    slices: value.slices.map((slice) =>
      withParameters(
        {
          sources: slice.sources.map((source) =>
            withParameters({ model: modelValue(source.model), layer_range: [...source.layerRange] }, source.parameters),
          ),
          base_model: slice.baseModel && modelValue(slice.baseModel),
        },
        slice.parameters,
      ),
    ),
  };
}

function withParameters(mapping: Mapping, own: Parameters): Mapping {
  return own.size === 0 ? mapping : { ...mapping, parameters: parameters(own) };
}

function parameters(values: Parameters | ReadonlyMap<string, { lines: readonly ConditionalValue[] }>): Mapping {
  return Object.fromEntries([...values].map(([name, { lines }]) => [name, linesValue(lines)]));
}

function linesValue(lines: readonly ConditionalValue[]): YamlValue {
  const [only] = lines;
  if (lines.length === 1 && only !== undefined && isUnconditional(only)) return only.value as YamlValue;
  return lines.map(({ filter, value }) => ({ filter, value: value as YamlValue }));
}

function isUnconditional({ filter }: ConditionalValue): boolean {
  return filter === undefined || filter === "*";
}

/** What follows a line that matches everything is never reached, and left as it is. */
function withDefaults(
  own: Parameters,
  defaults: ReadonlyMap<string, Scalar>,
): ReadonlyMap<string, { lines: readonly ConditionalValue[] }> {
  const all = new Map<string, { lines: readonly ConditionalValue[] }>(own);
  for (const [name, value] of defaults) {
    const lines = own.get(name)?.lines ?? [];
    if (!lines.some(isUnconditional)) all.set(name, { lines: [...lines, { value }] });
  }
  return all;
}

/** As text where reading it gives the same model, else as a mapping. */
export function modelValue({ ref }: NamedModel): YamlValue {
  const written = formatModelRef(ref);
  const read = parseModelRef(written);
  if (typeof read !== "string" && sameRef(read, ref)) return written;
  return {
    model: pathValue(ref.model),
    lora: ref.lora && pathValue(ref.lora),
    override_architecture: ref.overrideArchitecture,
  };
}

function pathValue({ path, revision }: ModelPath): Mapping {
  return { path, revision };
}

function sameRef(a: ModelRef, b: ModelRef): boolean {
  const samePath = (one: ModelPath | undefined, other: ModelPath | undefined) =>
    one?.path === other?.path && one?.revision === other?.revision;
  return samePath(a.model, b.model) && samePath(a.lora, b.lora) && a.overrideArchitecture === b.overrideArchitecture;
}

function tokenizerValue({ source, tokens, padToMultipleOf }: TokenizerConfig): Mapping {
  return {
    source: typeof source === "string" ? source : modelValue(source),
    tokens: Object.fromEntries(
      [...tokens].map(([token, override]) => [
        token,
        { source: override.source && tokenSource(override.source), force: override.force },
      ]),
    ),
    pad_to_multiple_of: padToMultipleOf ?? null,
  };
}

function tokenSource(source: TokenSource): YamlValue {
  if (source.kind === "zero") return { kind: "zero" };
  if (source.kind === "model") return modelValue(source.model);
  const { token } = source;
  return {
    kind: "model_token",
    model: modelValue(source.model),
    ...(typeof token === "number" ? { token_id: token } : { token }),
  };
}
