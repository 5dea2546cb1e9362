import { moved } from "../model/patch.ts";
import type { Model, TensorPatch, TensorView } from "../model/types.ts";
import { factor } from "./product.ts";
import type { AdapterConfig, AdapterModule } from "./types.ts";

/**
 * Adapters of packed experts, as PEFT writes them for a parameter of three dimensions (`target_parameters`): A is
 * [experts x rank, inputs], expert by expert; B is [outputs, rank x experts], the experts innermost. The module's path
 * ends in `experts`, and in `.base_layer` once for each parameter of it that was wrapped later.
 */
export interface ExpertsPlace {
  /** The parameter's name in the module. */
  parameter: string;
  /** The tensors to change: one that packs all experts, or each expert's own. */
  tensors: readonly { name: string; view: TensorView; entry: number; firstRow: number }[];
  experts: number;
  /** Of one expert, as it is packed. */
  rows: number;
  columns: number;
}

const BASE_LAYER = ".base_layer";
/** What the experts' parameters are made of where each expert has its own: Qwen's and most others' names, Mixtral's. */
const PARTS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  gate_up_proj: [
    ["gate_proj", "w1"],
    ["up_proj", "w3"],
  ],
  down_proj: [["down_proj", "w2"]],
};
/** What checkpoints call the block that the class calls `mlp`. */
const BLOCKS = ["mlp", "block_sparse_moe", "feed_forward"];
/**
 * Classes that store experts as [experts, inputs, outputs] and say so (`is_transposed`): PEFT's A and B are then those of
 * the layer. Llama 4 stores them so, too, and does not say it: PEFT's A and B are those of the transposed layer.
 */
const TRANSPOSED: ReadonlySet<unknown> = new Set(["gpt_oss", "openai_privacy_filter", "aria", "aria_text"]);
/** What parameters of three dimensions that hold experts are called. */
const PACKED = /^(.+\.)?(experts\.[^.]+|(input|output)_linear\.weight)$/;

/** A stored tensor that packs all experts of a layer: how many, and whether the class has it the other way round. */
export function packedExperts(
  name: string,
  { shape }: TensorView,
  modelType: unknown,
): { path: string; parameter: string; experts: number; transposed: boolean } | undefined {
  if (shape.length !== 3 || !PACKED.test(name)) return undefined;
  const dot = name.lastIndexOf(".");
  const transposed = TRANSPOSED.has(modelType);
  return { path: name.slice(0, dot), parameter: name.slice(dot + 1), experts: shape[0] ?? 0, transposed };
}

/** The path of the module that holds the parameters, and how many were wrapped after this one. */
export function expertsPath(path: string): { path: string; depth: number } {
  let depth = 0;
  let rest = path;
  for (; rest.endsWith(BASE_LAYER); depth++) rest = rest.slice(0, -BASE_LAYER.length);
  return { path: rest, depth };
}

/**
 * Which parameter of `experts` a module of an adapter has the factors of, as the configuration alone tells it.
 * @param modules how many modules the adapter has for the same experts. @returns undefined where it does not.
 */
export function parameterOfModule(
  { targetParameters }: AdapterConfig,
  module: string,
  modules: number,
): { path: string; parameter: string } | undefined {
  const { path, depth } = expertsPath(module);
  const names = [...new Set(targetParameters.map((one) => one.slice(one.lastIndexOf(".") + 1)))];
  const named = names.filter((name) => targetParameters.some((one) => `.${path}.${name}`.endsWith(`.${one}`)));
  const known = Object.keys(PARTS).filter((name) => named.includes(name));
  // The innermost is the class's first.
  const parameter = known.length === named.length ? known[modules - 1 - depth] : undefined;
  return parameter === undefined || known.length !== modules ? undefined : { path, parameter };
}

/** The experts' parameters that a model has under a path, in the order of their class. */
export function expertsIn(model: Model, path: string): ExpertsPlace[] {
  return [...Object.keys(PARTS), ...otherParameters(model, path)].flatMap((parameter) => {
    const place = packed(model, path, parameter) ?? separate(model, path, parameter);
    return place === undefined ? [] : [place];
  });
}

/** Parameters of three dimensions by other names: `weight`, in Granite's experts. */
function otherParameters(model: Model, path: string): string[] {
  return [...model.tensors].flatMap(([name, { shape }]) => {
    const parameter = name.slice(path.length + 1);
    const isOwn = shape.length === 3 && name.startsWith(`${path}.`) && !parameter.includes(".");
    return isOwn && !(parameter in PARTS) ? [parameter] : [];
  });
}

function blockPaths(path: string): string[] {
  const match = /^(.*\.)?([^.]+)\.experts$/.exec(path);
  if (match === null) return [path];
  return [path, ...BLOCKS.map((block) => `${match[1] ?? ""}${block}.experts`)];
}

function packed(model: Model, path: string, parameter: string): ExpertsPlace | undefined {
  for (const block of blockPaths(path)) {
    const name = `${block}.${parameter}`;
    const view = model.tensors.get(name);
    if (view === undefined || view.shape.length !== 3) continue;
    const [experts = 0, rows = 0, columns = 0] = view.shape;
    const tensors = Array.from({ length: experts }, (_, entry) => ({ name, view, entry, firstRow: entry * rows }));
    return { parameter, tensors, experts, rows, columns };
  }
  return undefined;
}

/** Each expert's own tensors; those of one expert stand one below the other where they are packed. */
function separate(model: Model, path: string, parameter: string): ExpertsPlace | undefined {
  for (const block of blockPaths(path)) {
    const tensors: { name: string; view: TensorView; entry: number; firstRow: number }[] = [];
    let rows = 0;
    for (let entry = 0; ; entry++) {
      const own = (PARTS[parameter] ?? []).map((names) => names.map((name) => `${block}.${entry}.${name}.weight`));
      const found = own.map((names) => names.find((name) => model.tensors.has(name)));
      if (found.length === 0 || found.includes(undefined)) break;
      let firstRow = 0;
      for (const name of found as string[]) {
        const view = model.tensors.get(name) as TensorView;
        tensors.push({ name, view, entry, firstRow });
        firstRow += view.shape[0] ?? 0;
      }
      rows = firstRow;
    }
    const last = tensors.at(-1);
    if (last !== undefined) {
      return { parameter, tensors, experts: last.entry + 1, rows, columns: last.view.shape.at(-1) ?? 0 };
    }
  }
  return undefined;
}

/** Whether A and B are of this parameter, and how it stores them. */
export function fitsExperts(module: AdapterModule, place: ExpertsPlace, modelType: unknown) {
  const [pairs = 0, inputs = 0] = module.a?.view.shape ?? [];
  const outputs = module.b?.view.shape[0] ?? 0;
  if (pairs === 0 || pairs % place.experts !== 0 || module.b?.view.shape[1] !== pairs) return undefined;
  const straight = outputs === place.rows && inputs === place.columns;
  const transposed = outputs === place.columns && inputs === place.rows;
  if (!straight && !transposed) return undefined;
  const both = straight && transposed;
  return { transposed: both ? TRANSPOSED.has(modelType) : transposed, rank: pairs / place.experts };
}

/** The change to each tensor of a place, by the tensor's name. Experts of their own are never stored transposed. */
export function expertPatches(
  module: AdapterModule,
  place: ExpertsPlace,
  { rank, transposed, scale }: { rank: number; transposed: boolean; scale: number },
): { name: string; patch: TensorPatch }[] {
  const { a, b } = module;
  if (a === undefined || b === undefined) return [];
  const inputs = a.view.shape[1] ?? 0;
  const pairs = rank * place.experts;
  return place.tensors.map(({ name, view, entry, firstRow }) => {
    const isPacked = view.shape.length === 3;
    const rows = isPacked ? place.rows : (view.shape[0] ?? 0);
    const own = { columns: place.columns, from: isPacked ? firstRow : 0, rank, scale, replaces: false };
    const ofA = moved(factor(a, inputs, 1), entry * rank * inputs);
    const ofB = moved(factor(b, pairs, place.experts), entry + (isPacked ? 0 : firstRow * pairs));
    const [left, right] = transposed
      ? [
          { ...ofA, rowStride: 1, columnStride: inputs },
          { ...ofB, rowStride: place.experts, columnStride: pairs },
        ]
      : [ofB, ofA];
    return { name, patch: { ...own, to: own.from + rows, left, right } };
  });
}
