/** docs/configuration.md from the schemas in src/schema/, which hold what the readers accept. */
import { join } from "node:path";
import { mergeSchema, multiSchema } from "../src/schema/merge.ts";
import { mixtureSchema, stackSchema } from "../src/schema/others.ts";
import type { Schema } from "../src/schema/parts.ts";
import { ROOT } from "./paths.ts";

export const CONFIGURATION_DOC = join(ROOT, "docs", "configuration.md");

const INTRODUCTION = `# Configuration reference

This page is made from \`src/schema/\` by \`bun run docs\`: do not edit it. The schemas themselves are in
[\`schemas/\`](../schemas); \`sinter schema merge\` prints one. An editor with a YAML language server completes and checks a
file that begins with \`# yaml-language-server: $schema=…/merge.schema.json\`.

YAML is read as PyYAML reads it, because mergekit's files are written for it: \`017\` is 15, \`y\` is text, \`1e-3\` is text
that counts as a number where one is wanted. Unknown keys are warnings, with \`--strict\` errors. Paths are relative to
the folder that the command is started in.

\`\`\`yaml
merge_method: ties
base_model: ./base
models:
  - model: ./chat
    parameters:
      weight: 0.6
  - model: ./code
    parameters:
      weight:
        - filter: self_attn
          value: [0, 0.5, 1]      # a gradient over the layers
        - value: 0.4              # everything else
parameters:
  density: 0.5
dtype: bfloat16
\`\`\``;

/** What follows the overview of a kind of file: its parts, by their names in \`$defs\`. */
const PARTS: Readonly<Record<string, string>> = {
  inputModel: "An entry of models",
  slice: "An entry of slices",
  source: "An entry of sources",
  module: "An entry of modules",
  token: "An entry of tokenizer.tokens",
};

/** The whole page. */
export function configurationDoc(): string {
  const merge = mergeSchema();
  const name = multiSchema().properties?.name as Schema;
  return `${[
    INTRODUCTION,
    section("A merge", merge),
    ...Object.entries(PARTS).map(([part, title]) => section(title, definition(merge, part), "###")),
    section("The key tokenizer", merge.properties?.tokenizer as Schema, "###"),
    "The source of a token is a model (its row of the same token), `{kind: zero}`, or `{kind: model_token, model, token}` with\n`token_id` in place of `token` where the number is meant.",
    MODELS,
    VALUES,
    `## Several merges in one file\n\n${cell(multiSchema())} Each is a merge as above, and has one more key:\n\n${table([["name", name]], [])}`,
    section("A mixture of experts", mixtureSchema()),
    section("An entry of experts and shared_experts", definition(mixtureSchema(), "expert"), "###"),
    section("A stack in bakllama's format", stackSchema()),
    section("An entry of layer_slices", definition(stackSchema(), "layers"), "###"),
  ].join("\n\n")}\n`;
}

const MODELS = `### How a model is named

\`./folder\`, \`org/name\`, \`org/name@revision\`, and \`+adapter\` after any of them. Or a mapping: \`{path, revision, lora,
override_architecture}\`, whose \`path\` stands as it is, so that it may hold \`@\` and \`+\`; or \`{model, lora,
override_architecture}\`.`;

const VALUES = `### What a parameter may be

- A number, or \`true\` or \`false\`.
- A list: a gradient. Its values are spread evenly over the layers of the slice, and interpolated between.
- A list of \`{filter, value}\`: the first line whose filter is part of the tensor's name counts; \`*\`, or no filter,
  matches all.

A parameter is looked up at the model or source, then the slice, the module and the top level.
[methods.md](methods.md) has the parameters of each method.`;

function definition(schema: Schema, name: string): Schema {
  const found = schema.$defs?.[name];
  if (found === undefined) throw new Error(`the schema has no part ${name}`);
  return found;
}

function section(title: string, schema: Schema, level = "##"): string {
  return `${level} ${title}\n\n${cell(schema)}\n\n${table(Object.entries(schema.properties ?? {}), schema.required ?? [])}`;
}

function table(keys: readonly (readonly [string, Schema])[], required: readonly string[]): string {
  const rows = keys.map(([name, schema]) => {
    const fallback = required.includes(name) ? "required" : schema.default === undefined ? "" : String(schema.default);
    return `| \`${name}\` | ${kind(schema)} | ${fallback} | ${cell(schema)} |`;
  });
  return ["| Key | Value | Default | |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

function cell(schema: Schema): string {
  return (schema.description ?? "").replaceAll("|", "\\|");
}

const REFERENCES: Readonly<Record<string, string>> = {
  "#/$defs/model": "model",
  "#/$defs/parameters": "parameters",
  "#/$defs/tokenizerSource": "union, base or a model",
  "#/$defs/tokenSource": "source of a token",
};

function kind(schema: Schema): string {
  if (schema.$ref !== undefined) return REFERENCES[schema.$ref] ?? "mapping";
  if (schema.oneOf?.[0]?.const !== undefined) return "name of a [method](methods.md)";
  const words = schema.enum ?? schema.anyOf?.[0]?.enum;
  if (words !== undefined) return words.map((value) => `\`${value}\``).join(", ");
  if (schema.anyOf !== undefined) return "number";
  if (schema.type === "array") return schema.minItems === 2 ? "two whole numbers" : "list";
  const names: Record<string, string> = {
    string: "text",
    integer: "whole number",
    boolean: "true or false",
    object: "mapping",
  };
  return names[String(schema.type)] ?? "";
}
