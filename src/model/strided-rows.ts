import type { Problem } from "../errors.ts";
import type { TensorView } from "./types.ts";

/**
 * What stands against taking rows of a tensor out of their order: strides, as views in PyTorch's files have them.
 * @param what takes the rows, for the message: "a merge by token".
 */
export function stridedRows(
  { view, tensor, model }: { view: TensorView; tensor: string; model: string },
  what: string,
): Problem | undefined {
  if (view.strides === undefined) return undefined;
  return {
    code: "strided-view",
    message: `not yet: the tensor is stored as a view with strides, and ${what} takes rows that lie one after another`,
    tensor,
    model,
    path: view.file,
    hint: "a merge by passthrough writes the model with its tensors one after another: use that",
  };
}
