import { nearest, type Problem, type Report } from "../errors.ts";
import { methods } from "../methods/index.ts";
import type { MergeMethod, ParameterSpec } from "../methods/types.ts";

/** Values that a user gave: by `parameter`, or by `method.parameter` for one method only. */
export type BenchValues = ReadonlyMap<string, number | boolean>;

/** What parameters are set to where a user gave nothing. `weight` is not here: it is 1 / number of models. */
export const BENCH_DEFAULTS = { density: 0.5, t: 0.5 } as const;

/**
 * Values for one method, where the one for all would not mean the same. `t` is a distance between weights in nearswap,
 * and a half of it would take over everything; this is the value of the model that introduced it.
 */
const OWN_DEFAULTS: Readonly<Record<string, number>> = { "nearswap.t": 1e-4 };

/**
 * The value that a method's parameter gets: the user's for this method, this method's own, the user's for all methods,
 * the one for all methods.
 * @param models how many models are merged.
 * @returns undefined where none of them is given: then the method's declared default holds.
 */
export function benchValue(
  { name: method }: MergeMethod,
  { name }: ParameterSpec,
  models: number,
  given: BenchValues,
): number | boolean | undefined {
  const own = `${method}.${name}`;
  const common = name === "weight" ? 1 / models : BENCH_DEFAULTS[name as keyof typeof BENCH_DEFAULTS];
  return given.get(own) ?? OWN_DEFAULTS[own] ?? given.get(name) ?? common;
}

/**
 * Reads `[method.]parameter=value`.
 * @returns the name before `=` and the value, or a sentence that says what is wrong with the text.
 */
export function parseSetting(text: string): readonly [string, number | boolean] | string {
  const match = /^((?:\w+\.)?\w+)=(.+)$/.exec(text);
  const [, name = "", value = ""] = match ?? [];
  if (match === null) return `"${text}" is not of the form parameter=value or method.parameter=value`;
  if (value === "true" || value === "false") return [name, value === "true"];
  const number = Number(value);
  if (!Number.isFinite(number)) return `"${value}" is neither a number nor true or false`;
  return [name, number];
}

/** Reports names of values that no method has. */
export function checkValues(given: BenchValues, report: Report): void {
  for (const name of given.keys()) {
    const problem = nameProblem(name);
    if (problem !== undefined) report.error(problem);
  }
}

function nameProblem(name: string): Problem | undefined {
  const dot = name.indexOf(".");
  const method = dot === -1 ? undefined : name.slice(0, dot);
  const parameter = name.slice(dot + 1);
  if (method !== undefined && !methods.some((known) => known.name === method)) {
    return unknown(
      `there is no merge method "${method}"`,
      method,
      methods.map((known) => known.name),
    );
  }
  const of = methods.filter((known) => method === undefined || known.name === method);
  const names = [...new Set(of.flatMap(({ parameters }) => parameters.map((spec) => spec.name)))];
  if (names.includes(parameter)) return undefined;
  return unknown(
    `${method ?? "no merge method"} has ${method ? "no" : "a"} parameter "${parameter}"`,
    parameter,
    names,
  );
}

function unknown(message: string, name: string, known: readonly string[]): Problem {
  const close = nearest(name, known);
  const hint = close === undefined ? `known: ${known.join(", ")}` : `did you mean ${close}?`;
  return { code: "unknown-value", message, hint };
}
