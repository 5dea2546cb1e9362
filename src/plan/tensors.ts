import type { MergeConfig } from "../config/types.ts";
import type { Position, Problem, Report } from "../errors.ts";
import type { LowerArgs, Lowered, MergeMethod } from "../methods/types.ts";
import { type Dtype, type FloatDtype, isFloat } from "../model/dtype.ts";
import { elementCount, sameShape } from "../model/types.ts";
import { type Copies, startCopies } from "./copies.ts";
import { outputDtype } from "./dtype.ts";
import { type ReportOnce, reportOnce } from "./once.ts";
import { type SliceParameters, sliceParameters } from "./parameters.ts";
import type { PlacelessOp } from "./place.ts";
import type { Slice } from "./sources.ts";
import type { Target } from "./targets.ts";
import type { MergeOptions, OpInput } from "./types.ts";

interface Context {
  config: MergeConfig;
  method: MergeMethod;
  /** Weights that not all inputs have in one shape are copied, not refused. */
  allowCrimes: boolean;
  report: ReportOnce;
  copies: Copies;
  parameters: Map<Slice, SliceParameters>;
  lowered: Map<string, KnownLowering>;
}

/** What a method answered for one shape. Most tensors have the parameters of the one before. */
interface KnownLowering extends Pick<LowerArgs, "inputs" | "parameters"> {
  answer: Lowered | Problem;
}

/**
 * From the weights of the output to ops: every shape, dtype and number is settled here. Missing tensors, shapes and
 * dtypes that do not go together and numbers that make no sense all go to the report.
 */
export function planTensors(
  targets: readonly Target[],
  config: MergeConfig,
  method: MergeMethod,
  { allowCrimes }: Pick<MergeOptions, "allowCrimes">,
  report: Report,
): PlacelessOp[] {
  const copies = startCopies();
  const context: Context = {
    config,
    method,
    allowCrimes,
    report: reportOnce(report),
    copies,
    parameters: new Map(),
    lowered: new Map(),
  };
  const ops: PlacelessOp[] = [];
  for (const target of targets) {
    const op = planTensor(target, context);
    if (op !== undefined) ops.push(op);
  }
  copies.report(report);
  return ops;
}

/** @returns undefined for an optional weight that no input has, and where something is wrong. */
function planTensor(target: Target, context: Context): PlacelessOp | undefined {
  const { spec, slice } = target;
  const present = presentInputs(target);
  if (present.length === 0 && spec.optional) return undefined;
  if (spec.buffer === true) return copyOf(target, chosenInput(target, present), "as it is", context);
  if (slice.copied === true && present.length > 0) return copyOf(target, present[0] as OpInput, "output", context);
  const complete = present.length === target.inputs.length && present.length > 0;
  const mismatch = otherShape(present);
  if (complete && mismatch === undefined) return planPresent(target, present, context);
  if (present.length > 0 && (context.allowCrimes || (spec.optional && mismatch === undefined))) {
    const input = chosenInput(target, present);
    context.copies.note(spec.name, input.model, complete ? "shape" : "missing");
    return copyOf(target, input, "output", context);
  }
  if (complete) reportShapes(target, present, context.report);
  else reportMissing(target, context.report);
  return undefined;
}

function planPresent(target: Target, inputs: readonly OpInput[], context: Context): PlacelessOp | undefined {
  const dtypes = inputs.map(({ view }) => view.dtype);
  if (dtypes.every(isFloat)) return planFloats(target, inputs, dtypes, context);
  if (!dtypes.some(isFloat)) return copyOf(target, chosenInput(target, inputs), "as it is", context);
  const list = inputs.map(({ model, view }) => `${model} ${view.dtype}`).join(", ");
  context.report(`kinds ${inputs[0]?.tensor}`, () => ({
    code: "mixed-dtypes",
    message: `integers and floating point numbers cannot be merged: ${list}`,
    at: target.slice.at,
    tensor: target.spec.name,
  }));
  return undefined;
}

function named({ spec, folder }: Target): Pick<PlacelessOp, "tensor" | "folder"> {
  return folder === undefined ? { tensor: spec.name } : { tensor: spec.name, folder };
}

/** The base's tensor, else the first model's. */
function chosenInput(target: Target, present: readonly OpInput[]): OpInput {
  const isBase = ({ position }: OpInput) => target.slice.sources[position]?.isBase === true;
  return present.find(isBase) ?? (present[0] as OpInput);
}

/** One input's tensor in its own dtype, or in the one that the output is written in. */
function copyOf(target: Target, input: OpInput, dtype: "as it is" | "output", context: Context): PlacelessOp {
  const own = input.view.dtype;
  const written =
    dtype === "output" && isFloat(own)
      ? (target.spec.dtype ?? outputDtype(context.config, context.method, [own], -1))
      : own;
  const { kernel, params } = movesBytes(input, written) ? { kernel: "copy", params: [] } : TIMES_ONE;
  return { ...named(target), dtype: written, shape: shapeOf(input), kernel, inputs: [input], params };
}

/** Narrows, widens, gathers or patches, and changes no value that fits. */
const TIMES_ONE = { kernel: "linear", params: [1], scratch: undefined };

/** Bytes can be moved as they are only where dtype and order of the rows stay, and no adapter changes them. */
function movesBytes({ view, gather }: OpInput, dtype: Dtype): boolean {
  return view.dtype === dtype && gather === undefined && view.patches === undefined;
}

/** What the op sees of an input: of a gathered one the rows of the output. */
function shapeOf({ view, gather }: OpInput): readonly number[] {
  return gather === undefined ? view.shape : [gather.rows.length, ...view.shape.slice(1)];
}

function planFloats(
  target: Target,
  inputs: readonly OpInput[],
  dtypes: readonly FloatDtype[],
  context: Context,
): PlacelessOp | undefined {
  const { config, method } = context;
  const first = inputs[0] as OpInput;
  const shape = shapeOf(first);
  const parameters = parametersOf(target, context);
  const tensor = target.randomAs ?? target.spec.name;
  const evaluated = {
    inputs: parameters.inputs(target.inputs, target.t),
    parameters: parameters.global(tensor, target.t),
  };
  const lowered = lower(evaluated, shape, context);
  if ("code" in lowered) {
    const at: Position = target.slice.at;
    context.report(`${lowered.code} ${at.line}:${at.column} ${lowered.message}`, () => ({
      at,
      tensor: target.spec.name,
      ...lowered,
    }));
    return undefined;
  }
  const base = target.slice.sources.findIndex((source) => source.isBase);
  const dtype = target.spec.dtype ?? outputDtype(config, method, dtypes, base);
  const used = lowered.inputs.map((index) => inputs[index] as OpInput);
  const converts = lowered.kernel === "copy" && !movesBytes(used[0] as OpInput, dtype);
  const { kernel, params, scratch } = converts ? TIMES_ONE : lowered;
  const applied = {
    inputs: lowered.inputs.map((index) => evaluated.inputs[index]?.parameters ?? {}),
    parameters: evaluated.parameters,
  };
  return { ...named(target), dtype, shape, kernel, inputs: used, params, randomAs: target.randomAs, scratch, applied };
}

/** The method's answer, which nothing but parameters and shape decide. */
function lower(
  evaluated: Pick<LowerArgs, "inputs" | "parameters">,
  shape: readonly number[],
  { method, lowered }: Context,
): Lowered | Problem {
  const key = shape.join();
  const known = lowered.get(key);
  if (known?.inputs === evaluated.inputs && known.parameters === evaluated.parameters) return known.answer;
  const sizes = { count: elementCount(shape), rows: shape[0] ?? 1, columns: shape.at(-1) ?? 1 };
  const answer = method.lower({ ...evaluated, ...sizes });
  lowered.set(key, { ...evaluated, answer });
  return answer;
}

function parametersOf(target: Target, context: Context): SliceParameters {
  let parameters = context.parameters.get(target.slice);
  if (parameters === undefined) {
    parameters = sliceParameters(target.slice, target.module, context);
    context.parameters.set(target.slice, parameters);
  }
  return parameters;
}

/** What the sources have, and in which position. */
function presentInputs({ slice, inputs }: Target): OpInput[] {
  const present: OpInput[] = [];
  for (let position = 0; position < inputs.length; position++) {
    const found = inputs[position]?.found;
    const gather = inputs[position]?.gather;
    const model = slice.sources[position]?.from.model.name ?? "";
    if (found === undefined) continue;
    const input = { view: found.view, model, tensor: found.name, position };
    present.push(gather === undefined ? input : { ...input, gather });
  }
  return present;
}

function reportMissing({ spec, slice, inputs }: Target, report: ReportOnce): void {
  inputs.forEach(({ name, found }, position) => {
    const source = slice.sources[position];
    if (found !== undefined || source === undefined) return;
    const model = source.from.model.name;
    const message = spec.optional ? "the model lacks a tensor that another input has" : "the model lacks a tensor";
    const hint =
      "sinter inspect shows all that a model lacks: fetch it again, or take such weights from the others with --allow-crimes";
    const problem = { code: "missing-tensor", message, at: source.at, model, tensor: name, hint };
    report(`missing ${model} ${name}`, () => problem);
  });
}

/** An input whose shape is not the first's. */
function otherShape(inputs: readonly OpInput[]): OpInput | undefined {
  const first = inputs[0];
  if (first === undefined) return undefined;
  const shape = shapeOf(first);
  for (const input of inputs) if (!sameShape(shapeOf(input), shape)) return input;
  return undefined;
}

function reportShapes(target: Target, inputs: readonly OpInput[], report: ReportOnce): void {
  const other = otherShape(inputs) as OpInput;
  const transposed = isTransposed(shapeOf(inputs[0] as OpInput), shapeOf(other));
  report(`shapes ${target.spec.name}`, () => ({
    code: "shape-mismatch",
    message: `the models' tensors differ in shape: ${inputs.map(describe).join(", ")}`,
    at: target.slice.sources[other.position]?.at,
    tensor: target.spec.name,
    hint: transposed ? "one model stores it transposed: save both with the same version of transformers" : undefined,
  }));
}

/** Whether the shapes differ in the order of the last two dimensions only. */
function isTransposed(a: readonly number[], b: readonly number[]): boolean {
  return a.length >= 2 && sameShape([...a.slice(0, -2), a.at(-1) ?? 0, a.at(-2) ?? 0], b);
}

function describe(input: OpInput): string {
  return `${input.model} [${shapeOf(input).join(", ")}]`;
}
