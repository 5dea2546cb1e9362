import type { Model } from "../../src/model/types.ts";
import { recorded, recordedModel } from "../architecture/recorded.ts";

/** A recorded model under a name of its own. @param change its tensors' names; undefined leaves one out. */
export function recordedAs(
  name: string,
  record: string,
  config: Record<string, unknown> = {},
  change: (tensor: string) => string | undefined = (tensor) => tensor,
): Model {
  const model = recordedModel(recorded(record));
  const file = `/models/${name}/model.safetensors`;
  const tensors = [...model.tensors].flatMap(([tensor, view]) => {
    const changed = change(tensor);
    return changed === undefined ? [] : [[changed, { ...view, file }] as const];
  });
  const all = { ...model.config, ...config };
  return {
    ...model,
    ref: { model: { path: name } },
    name,
    dir: `/models/${name}`,
    config: all,
    architecture: (all.architectures as string[])[0],
    tensors: new Map(tensors),
    weightFiles: [{ path: file, size: 1e6 }],
    sideFiles: ["config.json", "tokenizer.json"],
  };
}
