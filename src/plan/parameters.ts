import { evaluate } from "../config/parameters.ts";
import type { MergeConfig, Parameters } from "../config/types.ts";
import type { LowerArgs, MergeMethod, MethodInput, ParameterScope, ParameterSpec } from "../methods/types.ts";
import { valueFault } from "../methods/values.ts";
import type { ReportOnce } from "./once.ts";
import type { RecipeModule, Slice, Source } from "./sources.ts";

export type Values = LowerArgs["parameters"];

/** A method's parameters over the sources of one slice. */
export interface SliceParameters {
  /** Values of the `global` parameters for an output tensor. */
  global(tensor: string, t: number): Values;
  /** Each source as the method sees it. `names` holds, by source, the input's own name, which filters look at. */
  inputs(names: readonly { name: string }[], t: number): readonly MethodInput[];
}

interface Context {
  config: MergeConfig;
  method: MergeMethod;
  report: ReportOnce;
}

/** Values of all parameters of one scope for one tensor. The same object where the tensor makes no difference. */
type Evaluator = (tensor: string, t: number) => Values;

/**
 * Prepares the parameters of one slice: innermost first, source, slice, module, whole configuration. Values out of
 * range and missing ones are reported once for each place, with the first tensor concerned.
 */
export function sliceParameters(slice: Slice, module: RecipeModule, context: Context): SliceParameters {
  const outer = [slice.parameters, module.parameters, context.config.parameters];
  const readers = slice.sources.map((source, position) => {
    const values = evaluator("model", [source.parameters, ...outer], source, context);
    const fixed = { position, isBase: source.isBase, model: source.from.model.name };
    let input: MethodInput | undefined;
    return (tensor: string, t: number): MethodInput => {
      const parameters = values(tensor, t);
      if (input?.parameters !== parameters) input = { ...fixed, parameters };
      return input;
    };
  });
  let last: readonly MethodInput[] = [];
  return {
    global: evaluator("global", outer, undefined, context),
    inputs: (names, t) => {
      const inputs = readers.map((read, i) => read(names[i]?.name ?? "", t));
      if (inputs.some((input, i) => input !== last[i])) last = inputs;
      return last;
    },
  };
}

function evaluator(
  scope: ParameterScope,
  levels: readonly Parameters[],
  source: Source | undefined,
  context: Context,
): Evaluator {
  const specs = context.method.parameters.filter((spec) => spec.scope === scope);
  const read = (tensor: string, t: number): Values => {
    const values: Record<string, number | boolean | undefined> = {};
    for (const spec of specs) values[spec.name] = readValue(spec, levels, source, { tensor, t }, context);
    return values;
  };
  if (!specs.every((spec) => isConstant(spec.name, levels))) return read;
  let constant: Values | undefined;
  return (tensor, t) => {
    constant ??= read(tensor, t);
    return constant;
  };
}

/** Whether the innermost level that sets the parameter has one number for every tensor. */
function isConstant(name: string, levels: readonly Parameters[]): boolean {
  const line = levels.find((level) => level.has(name))?.get(name)?.lines[0];
  return line === undefined || ((line.filter === undefined || line.filter === "*") && typeof line.value !== "object");
}

function readValue(
  spec: ParameterSpec,
  levels: readonly Parameters[],
  source: Source | undefined,
  { tensor, t }: { tensor: string; t: number },
  context: Context,
): number | boolean | undefined {
  const found = evaluate(spec.name, levels, tensor, t);
  if (found === undefined) {
    if (spec.default === undefined && isNeeded(spec, source, context))
      reportMissing(spec, levels, source, tensor, context);
    return spec.default;
  }
  const { value, at } = found;
  const fault = valueFault(spec, value);
  if (fault !== undefined) {
    const problem = { code: "parameter-range", message: `${spec.name} ${fault}`, at, tensor };
    context.report(`${spec.name} ${at.line}:${at.column}`, () => problem);
  }
  return spec.type === "boolean" ? Boolean(value) : Number(value);
}

/** A base that is used as such has no parameters of its own. */
function isNeeded(spec: ParameterSpec, source: Source | undefined, { method }: Context): boolean {
  return spec.required && (source === undefined || !source.isBase || method.base === "member");
}

function reportMissing(
  { name }: ParameterSpec,
  levels: readonly Parameters[],
  source: Source | undefined,
  tensor: string,
  { config, method, report }: Context,
): void {
  const model = source?.from.model.name;
  // Where it is set at all, it is a filter that leaves this tensor out.
  const filtered = levels.some((level) => level.has(name));
  report(`${name} ${model} missing`, () => ({
    code: "missing-parameter",
    message: `${method.name} needs ${name}${model === undefined ? "" : ` for ${model}`}`,
    at: source?.at ?? config.mergeMethodAt,
    ...(filtered ? { tensor } : {}),
    hint: filtered
      ? `no filter of ${name} matches this tensor: end the list with a value without a filter`
      : missingHint(name, method, source, config),
  }));
}

function missingHint(name: string, method: MergeMethod, source: Source | undefined, config: MergeConfig): string {
  if (source === undefined) return `set ${name} under parameters:`;
  if (source.at !== config.baseModel?.at) {
    return `set ${name} under the model's parameters:, or for all under the top-level parameters:`;
  }
  return `${method.name} merges base_model like the other models: list it with its own ${name}, or leave base_model out`;
}
