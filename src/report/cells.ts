import type { MeasuredInput, MeasuredTensor } from "./measure.ts";

/** Where a tensor stands: a stack of layers, the layer, and the kind of weight in it. */
export interface Place {
  /** What stands before the number of the layer, e.g. `model.layers`. */
  stack: string;
  layer: number;
  module: string;
  /** The number of the expert that it belongs to. */
  expert?: number | undefined;
}

/** @returns undefined for a tensor outside layers. */
export function placeOf(tensor: string): Place | undefined {
  const match = /^(.*?)\.?(?:^|\.)(\d+)\.(.*)$/.exec(tensor);
  if (match === null) return undefined;
  const [, stack = "", layer = "0", rest = ""] = match;
  const module = rest.replace(/(^|\.)\d+(?=\.|$)/g, "$1*").replace(/\.weight$/, "");
  const expert = /(?:^|\.)experts\.(\d+)\./.exec(rest)?.[1];
  return { stack, layer: Number(layer), module, ...(expert === undefined ? {} : { expert: Number(expert) }) };
}

/** Tensors by layer and module. */
export interface Stack {
  name: string;
  modules: readonly string[];
  layers: readonly number[];
  /** Tensors of a cell: several where a layer has experts. */
  at(layer: number, module: string): readonly MeasuredTensor[];
}

/** The stacks of layers that a model has, and what lies outside of them. */
export function stacksOf(tensors: readonly MeasuredTensor[]): { stacks: Stack[]; outside: MeasuredTensor[] } {
  const outside = tensors.filter(({ op }) => placeOf(op.tensor) === undefined);
  const placed = tensors.flatMap((tensor) => {
    const place = placeOf(tensor.op.tensor);
    return place === undefined ? [] : [{ tensor, place }];
  });
  const stacks = [...Map.groupBy(placed, ({ place }) => place.stack)].map(([name, members]): Stack => {
    const cells = Map.groupBy(members, ({ place }) => `${place.layer} ${place.module}`);
    return {
      name,
      modules: [...new Set(members.map(({ place }) => place.module))],
      layers: [...new Set(members.map(({ place }) => place.layer))].sort((a, b) => a - b),
      at: (layer, module) => (cells.get(`${layer} ${module}`) ?? []).map(({ tensor }) => tensor),
    };
  });
  return { stacks, outside };
}

/** Tensors of a stack by layer and expert. */
export interface Experts {
  count: number;
  at(layer: number, expert: number): readonly MeasuredTensor[];
}

/** @returns undefined where no layer has experts in tensors of their own. */
export function expertsOf({ layers, modules, at }: Stack): Experts | undefined {
  const cells = new Map<string, MeasuredTensor[]>();
  let count = 0;
  for (const layer of layers) {
    for (const tensor of modules.flatMap((module) => at(layer, module))) {
      const expert = placeOf(tensor.op.tensor)?.expert;
      if (expert === undefined) continue;
      count = Math.max(count, expert + 1);
      const key = `${layer} ${expert}`;
      const cell = cells.get(key);
      if (cell === undefined) cells.set(key, [tensor]);
      else cell.push(tensor);
    }
  }
  return count === 0 ? undefined : { count, at: (layer, expert) => cells.get(`${layer} ${expert}`) ?? [] };
}

/** Names of all models that some tensor was made of, in the order of their first use. */
export function modelsOf(tensors: readonly MeasuredTensor[]): string[] {
  return [...new Set(tensors.flatMap(({ inputs }) => inputs.map(({ model }) => model)))];
}

/** Tensors without a NaN or an infinity in them: one of these would take the figures of all others. */
export function finite(tensors: readonly MeasuredTensor[]): MeasuredTensor[] {
  return tensors.filter((tensor) => Number.isFinite(tensor.squares + tensor.change) && tensor.inputs.every(isWhole));
}

function isWhole({ squares, distance, change, product }: MeasuredInput): boolean {
  return Number.isFinite(squares + distance + change + product);
}

/** How far the output lies from an input, as a share of the input's norm. NaN where the input has no part in it. */
export function relativeChange(all: readonly MeasuredTensor[], model: string): number {
  const tensors = finite(all);
  return Math.sqrt(sum(inputsOf(tensors, model), "distance") / sum(inputsOf(tensors, model), "squares"));
}

/** Cosine between the output's change and an input's, both from the reference. NaN where one of them is none. */
export function cosine(tensors: readonly MeasuredTensor[], model: string): number {
  const beside = finite(tensors).filter(({ inputs }) =>
    inputs.some((input) => input.model === model && !input.isReference),
  );
  const own = inputsOf(beside, model).filter(({ isReference }) => !isReference);
  const change = beside.reduce((total, tensor) => total + tensor.change, 0);
  const value = sum(own, "product") / (Math.sqrt(change) * Math.sqrt(sum(own, "change")));
  return Math.min(1, Math.max(-1, value));
}

/**
 * How much of an input's change the output has: the projection of its own change onto that, as a share of it. 1 is all of it,
 * and what a weight of 1 gives where inputs have nothing to do with each other. NaN where the input has no change.
 */
export function shareTaken(tensors: readonly MeasuredTensor[], model: string): number {
  const own = inputsOf(finite(tensors), model).filter(({ isReference }) => !isReference);
  return sum(own, "product") / sum(own, "change");
}

/** Models that some tensor has besides what its changes are measured from. */
export function othersOf(tensors: readonly MeasuredTensor[], labels: ReadonlyMap<string, string>): Map<string, string> {
  const isOther = (model: string) =>
    tensors.some(({ inputs }) => inputs.some((input) => input.model === model && !input.isReference));
  return new Map([...labels].filter(([model]) => isOther(model)));
}

/** Of the elements that some input changed, the share in which two went in opposite directions. NaN for one input. */
export function signConflicts(tensors: readonly MeasuredTensor[]): number {
  const several = tensors.filter(({ others }) => others > 1);
  const total = (key: "conflicts" | "changed") => several.reduce((value, tensor) => value + tensor[key], 0);
  return total("conflicts") / total("changed");
}

/** Norm of an input, and of the output where it was made of that input. */
export function norms(tensors: readonly MeasuredTensor[], model: string): { output: number; input: number } {
  const made = finite(tensors).filter(({ inputs }) => inputs.some((input) => input.model === model));
  const output = made.reduce((total, tensor) => total + tensor.squares, 0);
  return { output: Math.sqrt(output), input: Math.sqrt(sum(inputsOf(made, model), "squares")) };
}

/** Norm of the inputs that changes are measured from, and of the output. */
export function referenceNorms(all: readonly MeasuredTensor[]): { output: number; input: number } {
  const tensors = finite(all);
  const references = tensors.flatMap(({ inputs }) => inputs.filter(({ isReference }) => isReference));
  const output = tensors.reduce((total, tensor) => total + tensor.squares, 0);
  return { output: Math.sqrt(output), input: Math.sqrt(sum(references, "squares")) };
}

function inputsOf(tensors: readonly MeasuredTensor[], model: string): MeasuredInput[] {
  return tensors.flatMap(({ inputs }) => inputs.filter((input) => input.model === model));
}

function sum(inputs: readonly MeasuredInput[], key: "squares" | "distance" | "change" | "product"): number {
  return inputs.reduce((total, input) => total + input[key], 0);
}
