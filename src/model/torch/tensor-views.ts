import type { Problem } from "../../errors.ts";
import { FormatError } from "../format-error.ts";
import { ORIGINAL_WEIGHTS, quantisedDtype } from "../quantised.ts";
import { elementCount, type TensorView } from "../types.ts";
import type { TorchContainer } from "./container.ts";
import { type TorchTensor, UnusableTensor } from "./pickle-values.ts";

/** Past so many different faults the rest would tell nothing new. */
const MAX_PROBLEMS = 20;

/**
 * Where the tensors' bytes lie.
 * @returns views in the order of their offsets; and what is wrong with tensors that can have none, one problem for all
 *   that share a fault.
 */
export function viewsOf(
  tensors: ReadonlyMap<string, TorchTensor | UnusableTensor>,
  container: TorchContainer,
  file: string,
): { views: Map<string, TensorView>; problems: Problem[] } {
  const views: [string, TensorView][] = [];
  const faults = new Map<string, { error: FormatError; tensors: string[] }>();
  for (const [name, tensor] of tensors) {
    try {
      views.push([name, viewOf(tensor, container, file)]);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      const known = faults.get(error.message);
      if (known === undefined) faults.set(error.message, { error, tensors: [name] });
      else known.tensors.push(name);
    }
  }
  views.sort(([, a], [, b]) => a.offset - b.offset);
  return { views: new Map(views), problems: [...faults.values()].slice(0, MAX_PROBLEMS).map(problemOf) };
}

function viewOf(tensor: TorchTensor | UnusableTensor, container: TorchContainer, file: string): TensorView {
  if (tensor instanceof UnusableTensor) {
    const hint = tensor.kind === "quantised" ? ORIGINAL_WEIGHTS : "save it as an ordinary dense tensor";
    throw new FormatError("torch-tensor-kind", `a tensor that is ${tensor.kind} cannot be merged`, hint);
  }
  const { element, storage, shape } = tensor;
  if (element.dtype === undefined) throw unreadable(element.name);
  const elements = elementCount(shape);
  const strides = isContiguous(tensor) ? undefined : tensor.strides;
  const begin = storage.start * storage.elementBytes + tensor.start * element.bytes;
  const end = begin + (strides === undefined ? elements : extent(shape, strides)) * element.bytes;
  if (!Number.isSafeInteger(end) || (elements > 0 && end > storage.bytes)) {
    throw new FormatError(
      "torch-bounds",
      `a tensor of shape [${shape.join(", ")}] ends beyond its storage "${storage.key}"`,
    );
  }
  if (!Number.isSafeInteger(elements * element.bytes)) throw tooLarge(shape);
  const view = { file, offset: container.locate(storage) + (elements > 0 ? begin : 0), dtype: element.dtype, shape };
  return strides === undefined ? view : { ...view, strides };
}

/** Elements of the storage from the view's first to its last, both included. */
function extent(shape: readonly number[], strides: readonly number[]): number {
  return shape.reduce((reach, size, i) => reach + (size - 1) * (strides[i] ?? 0), 1);
}

/** Where an element is repeated (stride 0), a small storage does not bound the shape. */
function tooLarge(shape: readonly number[]): FormatError {
  return new FormatError("torch-bounds", `a tensor of shape [${shape.join(", ")}] has too many elements`);
}

/** Whether the elements lie in the order of the shape without gaps. A dimension of size 1 may have any stride. */
function isContiguous({ shape, strides }: TorchTensor): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    const size = shape[i] ?? 0;
    if (size === 0) return true;
    if (size !== 1 && strides[i] !== expected) return shape.includes(0);
    expected *= size;
  }
  return true;
}

function unreadable(element: string): FormatError {
  const name = `torch.${element}`;
  return quantisedDtype(element)
    ? new FormatError(
        "quantised-weights",
        `the weights are quantised (${name}), which cannot be merged`,
        ORIGINAL_WEIGHTS,
      )
    : new FormatError("unsupported-dtype", `unsupported dtype ${name}`);
}

function problemOf({ error, tensors }: { error: FormatError; tensors: readonly string[] }): Problem {
  const more = tensors.length === 1 ? "" : ` (and ${tensors.length - 1} more tensors)`;
  return { code: error.code, message: error.message + more, tensor: tensors[0], hint: error.hint };
}
