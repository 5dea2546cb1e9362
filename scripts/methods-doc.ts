/** Writes docs/methods.md from the declarations in src/methods/. `bun run docs` */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { methods } from "../src/methods/index.ts";
import type { MergeMethod, ParameterScope, ParameterSpec } from "../src/methods/types.ts";
import { ROOT } from "./paths.ts";

export const METHODS_DOC = join(ROOT, "docs", "methods.md");

const INTRODUCTION = `# Merge methods

This page is made from the declarations in \`src/methods/\` by \`bun run docs\`: do not edit it. \`sinter methods NAME\`
prints the same. How each method is computed, and what it does with zeros, NaN and equals, stands at the top of its
header in \`native/methods/\`.

A parameter of a model is looked up at the source, then the slice, the module and the top level. A parameter of the
whole merge is looked up at the slice, the module and the top level; at a single model it has no effect. Each may be a
number, a list (a gradient over the layers of the slice) or lines of \`{filter, value}\`.`;

/** The whole page. */
export function methodsDoc(): string {
  const overview = table(
    ["Method", "Base model", "Other models", "What it does"],
    methods.map((method) => [link(method), baseText(method), countText(method), method.summary]),
  );
  return `${[INTRODUCTION, overview, ...methods.map(section)].join("\n\n")}\n`;
}

function section(method: MergeMethod): string {
  const parts = [
    `## ${method.name}`,
    `${method.title}. ${method.summary}`,
    `    ${method.formula}`,
    `When to use it: ${method.use}`,
  ];
  if (method.random) parts.push("Random: the output depends on `--seed` (0 unless given).");
  parts.push(...parameterTable(method, "model", "Parameters of each model"));
  parts.push(...parameterTable(method, "global", "Parameters of the whole merge"));
  if (method.reference !== undefined) parts.push(`Reference: <${method.reference}>`);
  return parts.join("\n\n");
}

function parameterTable(method: MergeMethod, scope: ParameterScope, title: string): string[] {
  const specs = method.parameters.filter((spec) => spec.scope === scope);
  if (specs.length === 0) return [];
  return [table([title, "Value", "Default", ""], specs.map(row))];
}

function row(spec: ParameterSpec): string[] {
  const bounds = [
    ...(spec.min === undefined ? [] : [`at least ${spec.min}`]),
    ...(spec.max === undefined ? [] : [`at most ${spec.max}`]),
  ];
  const fallback = spec.required ? "required" : spec.default === undefined ? "none" : String(spec.default);
  return [`\`${spec.name}\``, [spec.type, ...bounds].join(", "), fallback, spec.doc];
}

function link({ name }: MergeMethod): string {
  return `[${name}](#${name})`;
}

function baseText({ base }: MergeMethod): string {
  return { required: "required", optional: "optional", member: "one more model" }[base];
}

function countText({ models: { min, max } }: MergeMethod): string {
  if (min === max) return String(min);
  return Number.isFinite(max) ? `${min} to ${max}` : `${min} or more`;
}

function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(heading), line(heading.map(() => "---")), ...rows.map(line)].join("\n");
}

if (import.meta.main) writeFileSync(METHODS_DOC, methodsDoc());
