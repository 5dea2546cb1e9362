import { nearest } from "../errors.ts";
import { type Context, type Fields, readBoolean, readEntries, readFields, readInteger, readText } from "./fields.ts";
import { readModel } from "./model-ref.ts";
import type { NamedModel, TokenizerConfig, TokenOverride, TokenSource } from "./types.ts";
import type { YamlEntry, YamlNode } from "./yaml-node.ts";

/** `tokenizer_source`, or `tokenizer` with its overrides; not both. */
export function readTokenizer(
  fields: Fields<"tokenizer_source" | "tokenizer">,
  context: Context,
): TokenizerConfig | undefined {
  const { tokenizer_source: short, tokenizer: long } = fields;
  if (short !== undefined && long !== undefined) {
    context.report.error({
      code: "tokenizer-twice",
      message: "both tokenizer_source and tokenizer are given",
      at: long.key.at,
      hint: 'keep one: tokenizer_source is short for tokenizer with only "source"',
    });
  }
  if (long !== undefined) return readLongForm(long.value, context);
  if (short === undefined) return undefined;
  const source = readSource(short, "tokenizer_source", context);
  return source && { source, tokens: new Map(), at: short.value.at };
}

function readLongForm(node: YamlNode, context: Context): TokenizerConfig | undefined {
  const fields = readFields(node, "tokenizer", ["source", "tokens", "pad_to_multiple_of"], context);
  if (fields === undefined) return undefined;
  const source = fields.source ? readSource(fields.source, "source of tokenizer", context) : "union";
  const tokens = readTokens(fields.tokens, context);
  const padToMultipleOf = fields.pad_to_multiple_of && readPad(fields.pad_to_multiple_of.value, context);
  return source && { source, tokens, padToMultipleOf, at: node.at };
}

function readSource(entry: YamlEntry, what: string, context: Context): TokenizerConfig["source"] | undefined {
  const { value } = entry;
  if (value.kind === "scalar" && (value.value === "union" || value.value === "base")) return value.value;
  return readModel(value, what, context);
}

/** 0 means no padding, as in the reference. */
function readPad(node: YamlNode, context: Context): number | undefined {
  const pad = readInteger(node, "pad_to_multiple_of", context);
  if (pad !== undefined && pad < 0) {
    context.report.error({ code: "config-value", message: "pad_to_multiple_of must not be negative", at: node.at });
  }
  return pad === 0 ? undefined : pad;
}

function readTokens(entry: YamlEntry | undefined, context: Context): ReadonlyMap<string, TokenOverride> {
  const tokens = new Map<string, TokenOverride>();
  if (entry === undefined) return tokens;
  for (const [token, { value }] of readEntries(entry.value, "tokens", context)) {
    const what = `token ${JSON.stringify(token)}`;
    const fields = readFields(value, what, ["source", "force"], context);
    if (fields === undefined) continue;
    const source = fields.source && readTokenSource(fields.source.value, what, context);
    const force = fields.force && readBoolean(fields.force.value, `force of ${what}`, context);
    tokens.set(token, { source, force: force ?? false });
  }
  return tokens;
}

const KINDS = ["model_token", "zero"];

function readTokenSource(node: YamlNode, what: string, context: Context): TokenSource | undefined {
  const kind = node.kind === "mapping" ? node.entries.find((entry) => entry.key.value === "kind") : undefined;
  if (kind === undefined) {
    const model = readModel(node, `source of ${what}`, context);
    return model && { kind: "model", model };
  }
  if (kind.value.kind === "scalar" && kind.value.value === "zero") {
    readFields(node, `source of ${what}`, ["kind"], context);
    return { kind: "zero" };
  }
  if (kind.value.kind === "scalar" && kind.value.value === "model_token") return readModelToken(node, what, context);
  const name = readText(kind.value, `kind in source of ${what}`, context);
  if (name === undefined) return undefined;
  const close = nearest(name, KINDS);
  const hint = close === undefined ? `known kinds: ${KINDS.join(", ")}` : `did you mean "${close}"?`;
  context.report.error({
    code: "token-source",
    message: `unknown kind "${name}" in source of ${what}`,
    at: kind.value.at,
    hint,
  });
  return undefined;
}

function readModelToken(node: YamlNode, what: string, context: Context): TokenSource | undefined {
  const fields = readFields(node, `source of ${what}`, ["kind", "model", "token_id", "token"], context);
  if (fields === undefined) return undefined;
  const model: NamedModel | undefined = fields.model && readModel(fields.model.value, "model", context);
  const token = fields.token && readText(fields.token.value, "token", context);
  const id = fields.token_id && readInteger(fields.token_id.value, "token_id", context);
  if (fields.model === undefined || (fields.token === undefined) === (fields.token_id === undefined)) {
    context.report.error({
      code: "token-source",
      message: `source of ${what} needs a model and one of token and token_id`,
      at: node.at,
    });
    return undefined;
  }
  const named = token ?? id;
  return model !== undefined && named !== undefined ? { kind: "model_token", model, token: named } : undefined;
}
