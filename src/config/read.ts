import { readFileSync, statSync } from "node:fs";
import { nearest, type Problem, type Report, SinterError } from "../errors.ts";
import { type FloatDtype, parseTorchDtype, torchDtypeNames } from "../model/dtype.ts";
import { readBody } from "./composition.ts";
import { type Context, type Fields, readFields, readText } from "./fields.ts";
import { readModel } from "./model-ref.ts";
import { readParameters } from "./settings.ts";
import { readTokenizer } from "./tokenizer.ts";
import type { MergeConfig } from "./types.ts";
import { parseYaml } from "./yaml.ts";
import type { YamlEntry, YamlMapping } from "./yaml-node.ts";

const KEYS = [
  "merge_method",
  "models",
  "slices",
  "modules",
  "base_model",
  "dtype",
  "out_dtype",
  "parameters",
  "tokenizer_source",
  "tokenizer",
  "chat_template",
] as const;

/** How a configuration is read. */
export type ReadOptions = Pick<Context, "strict" | "isPath">;

/**
 * Reads and validates a merge configuration. Warnings (unknown keys, unless `strict`; repeated keys) go to `report`.
 * @param file names the text in positions.
 * @throws SinterError with every error of the configuration.
 */
export function readMergeConfig(text: string, file: string, options: ReadOptions, report: Report): MergeConfig {
  const context: Context = { report, ...options };
  const root = parseYaml(text, file, report);
  if (root === undefined) throw new SinterError(report.errors);
  const config = readMerge(root, text, file, context);
  report.throwIfErrors();
  return config;
}

/**
 * One merge of a configuration. What is wrong goes to the context's report; then the value must not be used.
 * @param others keys besides those of a merge that the mapping may have.
 */
export function readMerge(
  root: YamlMapping,
  text: string,
  file: string,
  context: Context,
  others: readonly string[] = [],
): MergeConfig {
  const fields: Fields<(typeof KEYS)[number]> =
    readFields<string>(root, "the configuration", [...KEYS, ...others], context) ?? {};
  const method = fields.merge_method;
  if (method === undefined) {
    const hint = "give merge_method; `sinter methods` lists them";
    context.report.error({ code: "missing-key", message: "the configuration has no merge_method", at: root.at, hint });
  }
  const template = fields.chat_template && readText(fields.chat_template.value, "chat_template", context);
  return {
    file,
    text,
    mergeMethod: (method && readText(method.value, "merge_method", context)) ?? "",
    mergeMethodAt: method?.value.at ?? root.at,
    baseModel: fields.base_model && readModel(fields.base_model.value, "base_model", context),
    dtype: readDtype(fields.dtype, context),
    outDtype: readDtype(fields.out_dtype, context),
    parameters: readParameters(fields.parameters, "the configuration", context),
    tokenizer: readTokenizer(fields, context),
    chatTemplate: fields.chat_template && template ? { text: template, at: fields.chat_template.value.at } : undefined,
    body: readBody(fields, root.at, context),
  };
}

/** A dtype by its name. An empty name means none, as in the reference. */
export function readDtype(entry: YamlEntry | undefined, context: Context): FloatDtype | undefined {
  if (entry === undefined) return undefined;
  const name = readText(entry.value, entry.key.source, context);
  if (name === undefined || name === "") return undefined;
  const dtype = parseTorchDtype(name);
  if (dtype === undefined) {
    const close = nearest(name, torchDtypeNames);
    context.report.error({
      code: "unknown-dtype",
      message: `unknown ${entry.key.source} "${name}"`,
      at: entry.value.at,
      hint: `${close === undefined ? "" : `did you mean "${close}"? `}known: ${torchDtypeNames.join(", ")}`,
    });
  }
  return dtype;
}

/** Bytes. A recipe has a few thousand; a weight file given by mistake must not be read whole. */
const MAX_FILE_SIZE = 16 * 1024 * 1024;

/**
 * Reads a configuration file, which must be UTF-8.
 * @throws SinterError where the file cannot be read or is no valid configuration.
 */
export function loadMergeConfig(path: string, options: ReadOptions, report: Report): MergeConfig {
  return readMergeConfig(readConfigText(path), path, options, report);
}

/** The text of a configuration file, which must be UTF-8. @throws SinterError where the file cannot be read. */
export function readConfigText(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > MAX_FILE_SIZE) {
      throw new SinterError(fileProblem(path, `is too large for a configuration (${size} bytes)`));
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    if (error instanceof SinterError) throw error;
    throw new SinterError(fileProblem(path, reason(error)));
  }
}

function reason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "does not exist";
  if (code === "EISDIR") return "is a folder";
  if (code === "EACCES") return "may not be read by this user";
  if (error instanceof TypeError) return "is not UTF-8 text";
  return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}

function fileProblem(path: string, what: string): Problem {
  return { code: "config-file", message: `the configuration ${path} ${what}`, hint: "give the path of a YAML file" };
}
