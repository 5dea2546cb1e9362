import { DTYPE_BYTES } from "../model/dtype.ts";
import { patchesOfPart } from "../model/patch.ts";
import { elementCount, type Model, type TensorView } from "../model/types.ts";
import type { Architecture, Packing, Resolution, WeightSpec } from "./types.ts";

/** All weights of all modules, in their order. */
export function weightSpecs(architecture: Architecture): WeightSpec[] {
  const specs: WeightSpec[] = [];
  for (const { before, layers, after } of architecture.modules) {
    specs.push(...before);
    for (const layer of layers) specs.push(...layer);
    specs.push(...after);
  }
  return specs;
}

/**
 * Finds a weight in a model: under its own name, else under an alias, else within a larger tensor, else as the weight
 * it is tied to.
 * @param architecture the one that `spec` is of: it has the weight that a tie names, too.
 * @returns undefined where the model has none of them.
 */
export function resolveWeight(spec: WeightSpec, model: Model, architecture: Architecture): Resolution | undefined {
  const stored = findStored(spec, model);
  return spec.tie === undefined ? stored : resolveTied(spec, stored, model, architecture);
}

/** @param own what the model stores of the weight itself. */
function resolveTied(
  spec: WeightSpec,
  own: Resolution | undefined,
  model: Model,
  architecture: Architecture,
): Resolution | undefined {
  const tiedTo = ({ tie }: WeightSpec) =>
    tie === undefined ? undefined : weightSpecs(architecture).find(({ name }) => name === tie);
  const tried = new Set([spec.name]);
  for (let next = tiedTo(spec); next !== undefined && !tried.has(next.name); next = tiedTo(next)) {
    const followed = findStored(next, model);
    // PyTorch's files name both of two tied weights, but hold one storage for them: that is a tie, too.
    if (own !== undefined && (followed === undefined || !sameBytes(followed.view, own.view))) return own;
    if (followed !== undefined) return { ...followed, via: "tie" };
    tried.add(next.name);
  }
  return own;
}

function sameBytes(a: TensorView, b: TensorView): boolean {
  return (
    a.file === b.file && a.offset === b.offset && a.dtype === b.dtype && a.patches === b.patches && sameLayout(a, b)
  );
}

function sameLayout(a: TensorView, b: TensorView): boolean {
  return String(a.shape) === String(b.shape) && String(a.strides) === String(b.strides);
}

function findStored(spec: WeightSpec, model: Model): Resolution | undefined {
  const own = model.tensors.get(spec.name);
  if (own !== undefined) return { view: own, name: spec.name, via: "own" };
  for (const name of spec.aliases) {
    const view = model.tensors.get(name);
    if (view !== undefined) return { view, name, via: "alias" };
  }
  for (const name of spec.packing?.names ?? []) {
    const whole = model.tensors.get(name);
    const view = whole && partOf(whole, spec.packing as Packing);
    if (view !== undefined) return { view, name, via: "part" };
  }
  return undefined;
}

/** @returns undefined where the tensor cannot be divided so. */
export function partOf(whole: TensorView, { entry, rows }: Omit<Packing, "names">): TensorView | undefined {
  let { offset, shape, strides } = whole;
  /** Of the part's first element, in the order of the shape: where it lies is another matter, with strides. */
  let first = 0;
  /** Bytes from one entry of the first dimension to the next. */
  const step = () => (strides?.[0] ?? elementCount(shape.slice(1))) * DTYPE_BYTES[whole.dtype];
  if (entry !== undefined) {
    if (shape[0] !== entry.count) return undefined;
    offset += entry.index * step();
    shape = shape.slice(1);
    first += entry.index * elementCount(shape);
    strides = strides?.slice(1);
  }
  if (rows !== undefined) {
    const unit = (shape[0] ?? 0) / rows.of;
    if (!Number.isInteger(unit) || unit === 0) return undefined;
    offset += rows.from * unit * step();
    first += rows.from * unit * elementCount(shape.slice(1));
    shape = [(rows.to - rows.from) * unit, ...shape.slice(1)];
  }
  const part: TensorView = { file: whole.file, offset, dtype: whole.dtype, shape };
  if (strides !== undefined) part.strides = strides;
  if (whole.patches !== undefined) part.patches = patchesOfPart(whole.patches, first, elementCount(shape));
  return part;
}

/** Stored tensors that no module of the family accounts for: no weight and no alias of one. In stored order. */
export function unknownTensors(model: Model, architecture: Architecture): string[] {
  const specs = weightSpecs(architecture);
  // Most models store every weight under its own name and nothing else: seen by counting, in a tenth of the time.
  let stored = 0;
  for (const { name } of specs) if (model.tensors.has(name)) stored++;
  if (stored === model.tensors.size) return [];
  const known = new Set<string>();
  for (const { name, aliases, packing } of specs) {
    known.add(name);
    for (const alias of aliases) known.add(alias);
    for (const whole of packing?.names ?? []) known.add(whole);
  }
  return [...model.tensors.keys()].filter((name) => !known.has(name));
}
