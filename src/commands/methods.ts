import { type Problem, SinterError } from "../errors.ts";
import { findMethod, methodProblem, methods } from "../methods/index.ts";
import type { MergeMethod, ParameterSpec } from "../methods/types.ts";
import { columns } from "./columns.ts";
import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { JSON_OPTION } from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { print } from "./terminal.ts";

const OPTIONS = { json: JSON_OPTION } as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter methods",
  summary: COMMANDS.methods.summary,
  positionals: [
    {
      name: "NAME",
      doc: "A method to explain; without it, all are listed.",
      required: false,
      words: methods.map(({ name }) => name),
    },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter methods", doc: "List the methods" },
    { command: "sinter methods ties", doc: "What ties computes, and its parameters" },
    { command: "sinter methods --json", doc: "For a program" },
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run({ json }: OptionValues<typeof OPTIONS>, [name]: readonly string[]): Promise<number> {
  if (name === undefined) {
    await print(json ? asJson(methods.map(description)) : list());
    return 0;
  }
  const method = findMethod(name);
  if (method === undefined) throw new SinterError(unknownMethod(name));
  await print(json ? asJson(description(method)) : details(method));
  return 0;
}

function unknownMethod(name: string): Problem {
  const { at: _, ...problem } = methodProblem(name, { file: "", line: 0, column: 0 });
  return problem;
}

function list(): string {
  const rows = methods.map((method) => [method.name, baseWord(method), countWord(method), method.summary]);
  return `${columns([["METHOD", "BASE", "MODELS", ""], ...rows])}\n\nsinter methods NAME explains one.\n`;
}

function details(method: MergeMethod): string {
  const parts = [
    `${method.name}: ${method.title}`,
    method.summary,
    `Formula: ${method.formula}`,
    `When to use it: ${method.use}`,
    `Base model: ${baseWord(method)}. Models${method.base === "member" ? "" : " besides it"}: ${countWord(method)}.`,
  ];
  if (method.random) parts.push("Random: the output depends on --seed, and on nothing else.");
  for (const scope of ["model", "global"] as const) {
    const specs = method.parameters.filter((parameter) => parameter.scope === scope);
    if (specs.length === 0) continue;
    const title = scope === "model" ? "Parameters of each model:" : "Parameters of the whole merge:";
    parts.push(
      `${title}\n${columns(specs.map((parameter) => [`  ${parameter.name}`, domain(parameter), parameter.doc]))}`,
    );
  }
  if (method.reference !== undefined) parts.push(`Reference: ${method.reference}`);
  return `${parts.join("\n\n")}\n`;
}

function description({ lower: _, ...declaration }: MergeMethod): Omit<MergeMethod, "lower"> {
  return declaration;
}

function asJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function baseWord(method: MergeMethod): string {
  return method.base === "member" ? "as a model" : method.base;
}

function countWord({ models: { min, max } }: MergeMethod): string {
  if (min === max) return String(min);
  return Number.isFinite(max) && max < Number.MAX_SAFE_INTEGER ? `${min} to ${max}` : `${min} or more`;
}

/** `number in [0, 1], default 1` */
function domain(parameter: ParameterSpec): string {
  const { min, max } = parameter;
  const range =
    min !== undefined && max !== undefined
      ? ` in [${min}, ${max}]`
      : min !== undefined
        ? ` >= ${min}`
        : max !== undefined
          ? ` <= ${max}`
          : "";
  const fallback = parameter.required
    ? "required"
    : parameter.default === undefined
      ? "optional"
      : `default ${parameter.default}`;
  return `${parameter.type}${range}, ${fallback}`;
}
