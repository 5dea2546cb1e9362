import type { Problem } from "../errors.ts";
import type { TensorView } from "./types.ts";

/**
 * What stands against reading a tensor as it is stored, for a step that can do nothing else; undefined where nothing
 * does. Strides come from PyTorch's files, patches from adapters.
 * @param what does the reading, for the message: "a forward pass".
 */
export function notAsStored(
  { view, tensor, model }: { view: TensorView; tensor: string; model: string },
  what: string,
) {
  const place = { tensor, model, path: view.file };
  if (view.patches !== undefined) {
    return {
      ...place,
      code: "adapter-here",
      message: `not yet: an adapter changes this tensor, and ${what} reads tensors as they are stored`,
      hint: "write the model with its adapter first (sinter lora convert base+adapter OUT), and name OUT",
    } satisfies Problem;
  }
  if (view.strides === undefined) return undefined;
  return {
    ...place,
    code: "strided-view",
    message: `not yet: the tensor is stored as a view with strides, and ${what} reads tensors as they are stored`,
    hint: "a merge by passthrough writes the model with its tensors one after another: use that",
  } satisfies Problem;
}
