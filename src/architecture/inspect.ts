import { DTYPE_BYTES, type Dtype } from "../model/dtype.ts";
import { elementCount, type Model, type TensorView } from "../model/types.ts";
import { resolveWeight, unknownTensors, weightSpecs } from "./resolve.ts";
import type { Architecture, ModuleSpec, Resolution, WeightSpec } from "./types.ts";

/** Numbers of tensors, elements and bytes. */
export interface Amount {
  tensors: number;
  parameters: number;
  bytes: number;
}

/** Consecutive layers that have the same weights. */
export interface LayerRun {
  first: number;
  last: number;
  /** Of one layer. */
  weights: number;
  parameters: number;
}

export interface InspectedModule extends Amount {
  name: string;
  family: string;
  layerCount: number;
  /** The key of config.json that holds the number of layers. */
  layerKey: string | undefined;
  before: string[];
  layers: LayerRun[];
  after: string[];
}

/** A weight with a row per token, or one that may share another's tensor. */
export interface SharedWeight {
  weight: string;
  role: WeightSpec["role"] | null;
  /** The stored tensor that it is, and its shape; null where the model has none. */
  tensor: string | null;
  shape: readonly number[] | null;
  /** Whether `tensor` is another weight's. */
  tied: boolean;
}

/** How a model is understood. */
export interface Inspection {
  name: string;
  folder: string;
  class: string | null;
  modelType: string | null;
  family: string;
  familyClass: string | null;
  total: Amount;
  dtypes: Record<string, Amount>;
  modules: InspectedModule[];
  shared: SharedWeight[];
  /** What config.json (or the class's default) says of the head. */
  tied: boolean;
  /** How weights are stored that the family stores in two ways. */
  layout: string | null;
  /** Weights that the family has and the model does not. */
  missing: string[];
  /** Stored tensors that the family does not have. */
  unknown: string[];
  /** Stored constants of the class, which are copied and not merged. */
  buffers: string[];
  files: { name: string; bytes: number; tensors: number }[];
  sideFiles: string[];
}

/** Everything that is known of a model before it is merged. Reads nothing. */
export function inspect(model: Model, architecture: Architecture): Inspection {
  const specs = weightSpecs(architecture);
  const found = new Map(specs.map((spec) => [spec, resolveWeight(spec, model, architecture)]));
  const missing = specs.filter((spec) => !spec.optional && found.get(spec) === undefined);
  const buffers = specs.filter((spec) => spec.buffer === true && found.get(spec) !== undefined);
  const modelType = model.config.model_type;
  return {
    name: model.name,
    folder: model.dir,
    class: model.architecture ?? null,
    modelType: typeof modelType === "string" ? modelType : null,
    family: architecture.family,
    familyClass: architecture.architecture ?? null,
    total: amountOf(model.tensors.values()),
    dtypes: byDtype(model),
    modules: architecture.modules.map((module) => inspectModule(module, architecture, found)),
    shared: specs
      .filter((spec) => spec.role !== undefined || spec.tie !== undefined)
      .map((spec) => shared(spec, found)),
    tied: architecture.tied,
    layout: architecture.layout.kind ?? null,
    missing: missing.map(({ name }) => name),
    unknown: unknownTensors(model, architecture),
    buffers: buffers.map(({ name }) => name),
    files: inspectFiles(model),
    sideFiles: [...model.sideFiles],
  };
}

type Found = ReadonlyMap<WeightSpec, Resolution | undefined>;

function inspectModule(module: ModuleSpec, { keys }: Architecture, found: Found): InspectedModule {
  const { name, family, before, layers, after } = module;
  const views = (specs: readonly WeightSpec[]) =>
    specs.flatMap((spec) => {
      const one = found.get(spec);
      return one === undefined || one.via === "tie" ? [] : [one.view];
    });
  const names = (specs: readonly WeightSpec[]) => specs.filter((spec) => found.get(spec)).map((spec) => spec.name);
  return {
    name,
    family,
    layerCount: layers.length,
    layerKey: keys.layerCount[name],
    ...amountOf(views([...before, ...layers.flat(), ...after])),
    before: names(before),
    layers: layerRuns(
      layers.map((specs) => specs.filter((spec) => found.get(spec) !== undefined)),
      views,
    ),
    after: names(after),
  };
}

function layerRuns(
  layers: readonly (readonly WeightSpec[])[],
  views: (specs: readonly WeightSpec[]) => TensorView[],
): LayerRun[] {
  const runs: (LayerRun & { keys: string })[] = [];
  for (const [layer, specs] of layers.entries()) {
    const { parameters } = amountOf(views(specs));
    const keys = `${parameters} ${specs.map(({ key }) => key).join(" ")}`;
    const last = runs.at(-1);
    if (last?.keys === keys) last.last = layer;
    else runs.push({ first: layer, last: layer, weights: specs.length, parameters, keys });
  }
  return runs.map(({ keys: _, ...run }) => run);
}

function amountOf(views: Iterable<TensorView>): Amount {
  const amount = { tensors: 0, parameters: 0, bytes: 0 };
  for (const view of views) add(amount, view);
  return amount;
}

function add(amount: Amount, { dtype, shape }: { dtype: Dtype; shape: readonly number[] }): void {
  const count = elementCount(shape);
  amount.tensors++;
  amount.parameters += count;
  amount.bytes += count * DTYPE_BYTES[dtype];
}

function byDtype(model: Model): Record<string, Amount> {
  const amounts: Record<string, Amount> = {};
  for (const view of model.tensors.values()) {
    amounts[view.dtype] ??= { tensors: 0, parameters: 0, bytes: 0 };
    add(amounts[view.dtype] as Amount, view);
  }
  return amounts;
}

function shared(spec: WeightSpec, found: Found): SharedWeight {
  const one = found.get(spec);
  return {
    weight: spec.name,
    role: spec.role ?? null,
    tensor: one?.name ?? null,
    shape: one?.view.shape ?? null,
    tied: one?.via === "tie",
  };
}

function inspectFiles(model: Model): Inspection["files"] {
  const counts = new Map<string, number>();
  for (const { file } of model.tensors.values()) counts.set(file, (counts.get(file) ?? 0) + 1);
  return model.weightFiles.map(({ path, size }) => ({
    name: path.startsWith(model.dir) ? path.slice(model.dir.length).replace(/^[\\/]/, "") : path,
    bytes: size,
    tensors: counts.get(path) ?? 0,
  }));
}
