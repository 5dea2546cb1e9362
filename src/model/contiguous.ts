import { SinterError } from "../errors.ts";
import type { TensorView } from "./types.ts";

/**
 * The view, for a step that reads tensors where they lie and one element after another.
 * @throws SinterError where it has strides, as views in PyTorch's files may.
 */
export function contiguous(view: TensorView): TensorView {
  if (view.strides === undefined) return view;
  throw new SinterError({
    code: "strided-view",
    message: `not yet: a tensor of shape [${view.shape.join(", ")}] is stored as a view with strides, which only merges read`,
    path: view.file,
    hint: "a merge by passthrough writes the model with its tensors one after another: use that",
  });
}
