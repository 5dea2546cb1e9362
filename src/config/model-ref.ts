import { type ModelPath, type ModelRef, parseModelPath, parseModelRef } from "../model/ref.ts";
import { type Context, readFields, readText, wrongType } from "./fields.ts";
import type { NamedModel } from "./types.ts";
import type { YamlNode } from "./yaml-node.ts";

const FORMS = 'write "path@revision+lora", or a mapping with model (or path and revision), lora, override_architecture';

/**
 * A model as text (`path@revision+lora@revision`) or as a mapping: `{path, revision}` or `{model: text or {path,
 * revision}}`, either with `lora` and `override_architecture`. A `path` inside a mapping is taken as it stands, so it
 * may hold "@" and "+".
 */
export function readModel(node: YamlNode, what: string, context: Context): NamedModel | undefined {
  const ref = node.kind === "mapping" ? readModelMapping(node, what, context) : readModelText(node, what, context);
  return ref === undefined ? undefined : { ref, at: node.at };
}

function readModelText(node: YamlNode, what: string, context: Context): ModelRef | undefined {
  const text = readModelName(node, what, context);
  if (text === undefined) return undefined;
  if (context.isPath?.(text) === true) return { model: { path: text } };
  return accept(parseModelRef(text), node, context);
}

function readModelMapping(node: YamlNode, what: string, context: Context): ModelRef | undefined {
  const direct = node.kind === "mapping" && node.entries.some((entry) => entry.key.value === "path");
  const names = direct
    ? (["path", "revision", "lora", "override_architecture"] as const)
    : (["model", "lora", "override_architecture"] as const);
  const fields = readFields<"model" | "path" | "revision" | "lora" | "override_architecture">(
    node,
    what,
    names,
    context,
  );
  if (fields === undefined) return undefined;
  const named = fields.model ?? fields.path;
  if (named === undefined) {
    context.report.error({ code: "missing-key", message: `${what} names no model`, at: node.at, hint: FORMS });
    return undefined;
  }
  const model = direct
    ? readPathAndRevision(named.value, fields.revision?.value, what, context)
    : readPath(named.value, what, context);
  const lora = fields.lora && readPath(fields.lora.value, `lora of ${what}`, context);
  const override = fields.override_architecture;
  const overrideArchitecture = override && readText(override.value, "override_architecture", context);
  return model && { model, lora, overrideArchitecture };
}

/** `path@revision` as text, or `{path, revision}`. */
function readPath(node: YamlNode, what: string, context: Context): ModelPath | undefined {
  if (node.kind !== "mapping") {
    const text = readModelName(node, what, context);
    return text === undefined ? undefined : accept(parseModelPath(text), node, context);
  }
  const fields = readFields(node, what, ["path", "revision"], context);
  if (fields === undefined) return undefined;
  if (fields.path !== undefined) {
    return readPathAndRevision(fields.path.value, fields.revision?.value, what, context);
  }
  context.report.error({ code: "missing-key", message: `${what} has no path`, at: node.at, hint: FORMS });
  return undefined;
}

function readPathAndRevision(
  path: YamlNode,
  revision: YamlNode | undefined,
  what: string,
  context: Context,
): ModelPath | undefined {
  const pathText = readText(path, `path of ${what}`, context);
  const revisionText = revision && readText(revision, `revision of ${what}`, context);
  if (pathText === undefined) return undefined;
  if (pathText.trim() === "") return accept<ModelPath>("a model name must not be empty", path, context);
  return { path: pathText, revision: revisionText };
}

function readModelName(node: YamlNode, what: string, context: Context): string | undefined {
  return node.kind === "sequence" ? wrongType(node, what, "one model", context, FORMS) : readText(node, what, context);
}

function accept<T extends object>(parsed: T | string, node: YamlNode, context: Context): T | undefined {
  if (typeof parsed !== "string") return parsed;
  context.report.error({ code: "model-name", message: parsed, at: node.at, hint: FORMS });
  return undefined;
}
