import type { Model, TensorView } from "../../src/model/types.ts";

/** A model that stores tensors of the given names (of no size that matters), without any file. */
export function storedModel(config: Readonly<Record<string, unknown>>, names: Iterable<string>): Model {
  const view = (i: number): TensorView => ({ file: "model.safetensors", offset: 4 * i, dtype: "F32", shape: [1] });
  const architectures = config.architectures as string[] | undefined;
  return {
    ref: { model: { path: "stored" } },
    name: "stored",
    dir: "stored",
    config,
    architecture: architectures?.[0],
    tensors: new Map([...names].map((name, i) => [name, view(i)])),
    weightFiles: [],
    sideFiles: [],
  };
}
