import type { MergeConfig } from "../config/types.ts";
import type { Position, Report } from "../errors.ts";
import type { MergeMethod } from "../methods/types.ts";
import { type FloatDtype, isFloat } from "../model/dtype.ts";
import { elementCount } from "../model/types.ts";
import { outputDtype } from "./dtype.ts";
import { type ReportOnce, reportOnce } from "./once.ts";
import { type SliceParameters, sliceParameters } from "./parameters.ts";
import type { PlacelessOp } from "./place.ts";
import type { Slice } from "./sources.ts";
import type { Target } from "./targets.ts";
import type { OpInput } from "./types.ts";

interface Context {
  config: MergeConfig;
  method: MergeMethod;
  report: ReportOnce;
  parameters: Map<Slice, SliceParameters>;
}

/**
 * From the weights of the output to ops: every shape, dtype and number is settled here. Missing tensors, shapes and
 * dtypes that do not go together and numbers that make no sense all go to the report.
 */
export function planTensors(
  targets: readonly Target[],
  config: MergeConfig,
  method: MergeMethod,
  report: Report,
): PlacelessOp[] {
  const context: Context = { config, method, report: reportOnce(report), parameters: new Map() };
  const ops: PlacelessOp[] = [];
  for (const target of targets) {
    const op = planTensor(target, context);
    if (op !== undefined) ops.push(op);
  }
  return ops;
}

/** @returns undefined for an optional weight that no input has, and where something is wrong. */
function planTensor(target: Target, context: Context): PlacelessOp | undefined {
  const inputs = presentInputs(target, context.report);
  if (inputs === undefined || !checkShapes(target, inputs, context.report)) return undefined;
  const first = inputs[0] as OpInput;
  const dtypes = inputs.map(({ view }) => view.dtype);
  if (dtypes.every(isFloat)) return planFloats(target, inputs, dtypes, context);
  if (dtypes.some(isFloat)) {
    const list = inputs.map(({ model, view }) => `${model} ${view.dtype}`).join(", ");
    const message = `integers and floating point numbers cannot be merged: ${list}`;
    context.report(`kinds ${first.tensor}`, () => ({
      code: "mixed-dtypes",
      message,
      at: target.slice.at,
      tensor: target.spec.name,
    }));
    return undefined;
  }
  const base = target.slice.sources.findIndex((source) => source.isBase);
  const donor = inputs[base] ?? first;
  return {
    tensor: target.spec.name,
    dtype: donor.view.dtype,
    shape: donor.view.shape,
    kernel: "copy",
    inputs: [donor],
    params: [],
  };
}

function planFloats(
  target: Target,
  inputs: readonly OpInput[],
  dtypes: readonly FloatDtype[],
  context: Context,
): PlacelessOp | undefined {
  const { config, method } = context;
  const first = inputs[0] as OpInput;
  const parameters = parametersOf(target, context);
  const tensor = target.randomAs ?? target.spec.name;
  const lowered = method.lower({
    inputs: parameters.inputs(target.inputs, target.t),
    parameters: parameters.global(tensor, target.t),
    count: elementCount(first.view.shape),
    rows: first.view.shape[0] ?? 1,
    columns: first.view.shape.at(-1) ?? 1,
  });
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
  const dtype = outputDtype(config, method, dtypes, base);
  const used = lowered.inputs.map((index) => inputs[index] as OpInput);
  // Bytes can be moved as they are only where the dtype stays; else the kernel that computes 1 x narrows or widens.
  const converts = lowered.kernel === "copy" && used[0]?.view.dtype !== dtype;
  const { kernel, params, scratch } = converts ? { kernel: "linear", params: [1] } : lowered;
  const { shape } = first.view;
  return { tensor: target.spec.name, dtype, shape, kernel, inputs: used, params, randomAs: target.randomAs, scratch };
}

function parametersOf(target: Target, context: Context): SliceParameters {
  let parameters = context.parameters.get(target.slice);
  if (parameters === undefined) {
    parameters = sliceParameters(target.slice, target.module, context);
    context.parameters.set(target.slice, parameters);
  }
  return parameters;
}

/** @returns undefined where an input is missing; that is an error unless the weight is optional and no input has it. */
function presentInputs(target: Target, report: ReportOnce): OpInput[] | undefined {
  const { spec, slice, inputs } = target;
  const present: OpInput[] = [];
  for (let position = 0; position < inputs.length; position++) {
    const found = inputs[position]?.found;
    const model = slice.sources[position]?.from.model.name ?? "";
    if (found !== undefined) present.push({ view: found.view, model, tensor: found.name, position });
  }
  if (present.length === inputs.length && present.length > 0) return present;
  if (present.length === 0 && spec.optional) return undefined;
  inputs.forEach(({ name, found }, position) => {
    const source = slice.sources[position];
    if (found !== undefined || source === undefined) return;
    const model = source.from.model.name;
    report(`missing ${model} ${name}`, () => ({
      code: "missing-tensor",
      message: spec.optional ? "the model lacks a tensor that another input has" : "the model lacks a tensor",
      at: source.at,
      model,
      tensor: name,
    }));
  });
  return undefined;
}

function checkShapes(target: Target, inputs: readonly OpInput[], report: ReportOnce): boolean {
  const first = inputs[0] as OpInput;
  let other: OpInput | undefined;
  for (const input of inputs) if (!sameShape(input.view.shape, first.view.shape)) other ??= input;
  if (other === undefined) return true;
  report(`shapes ${target.spec.name}`, () => ({
    code: "shape-mismatch",
    message: `the models' tensors differ in shape: ${inputs.map(describe).join(", ")}`,
    at: target.slice.sources[other.position]?.at,
    tensor: target.spec.name,
  }));
  return false;
}

function describe({ model, view }: OpInput): string {
  return `${model} [${view.shape.join(", ")}]`;
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
