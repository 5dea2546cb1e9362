import type { LayerStack } from "../config/bakllama.ts";
import { modelValue } from "../config/normal-form.ts";
import { writeYaml, type YamlValue } from "../config/write-yaml.ts";

/**
 * The configuration that stacks the layers. A source of its own for the embeddings, or for the final norm and the head,
 * is a slice without layers at that end.
 */
export function layerStackText({ slices, embeddingSource, headSource }: LayerStack, fp16: boolean): string {
  const none = (model: LayerStack["embeddingSource"]): YamlValue[] =>
    model === undefined ? [] : [{ sources: [{ model: modelValue(model), layer_range: [0, 0] }] }];
  return writeYaml({
    merge_method: "passthrough",
    slices: [
      ...none(embeddingSource),
      ...slices.map(({ model, start, end, scale }): YamlValue => {
        const parameters = scale === undefined ? undefined : { scale: [{ filter: "down_proj", value: scale }] };
        return { sources: [{ model: modelValue(model), layer_range: [start, end], parameters }] };
      }),
      ...none(headSource),
    ],
    dtype: fp16 ? "float16" : undefined,
  });
}
