import { resolveWeight, weightSpecs } from "../architecture/resolve.ts";
import type { WeightSpec } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import { isFloat } from "../model/dtype.ts";
import type { TensorView } from "../model/types.ts";
import type { DecoderShape } from "./shape.ts";
import type { ForwardModel } from "./types.ts";

/** One layer's weights by the names of `NativeLayer`; biases and norms of heads only where the family has them. */
export type LayerWeights = Readonly<Record<string, TensorView>>;

/** Where every weight of a decoder lies. */
export interface DecoderWeights {
  embedding: TensorView;
  layers: readonly LayerWeights[];
  norm: TensorView;
  /** The embedding where the head is tied to it; undefined where the model has no head. */
  head: TensorView | undefined;
  vocabulary: number;
}

/** Keys of a layer's weights, as the families' definitions spell them, with what they are here and their sizes. */
function layerParts({ width, heads, keyHeads, headSize, intermediate }: DecoderShape) {
  const queries = heads * headSize;
  const keys = keyHeads * headSize;
  const linear = (key: string, name: string, outputs: number, inputs: number) => [
    { key: `${key}.weight`, name, sizes: [outputs, inputs] },
    { key: `${key}.bias`, name: `${name}Bias`, sizes: [outputs] },
  ];
  return [
    { key: "input_layernorm.weight", name: "attentionNorm", sizes: [width] },
    ...linear("self_attn.q_proj", "query", queries, width),
    ...linear("self_attn.k_proj", "key", keys, width),
    ...linear("self_attn.v_proj", "value", keys, width),
    ...linear("self_attn.o_proj", "output", width, queries),
    { key: "self_attn.q_norm.weight", name: "queryNorm", sizes: [headSize] },
    { key: "self_attn.k_norm.weight", name: "keyNorm", sizes: [headSize] },
    { key: "post_attention_layernorm.weight", name: "mlpNorm", sizes: [width] },
    ...linear("mlp.gate_proj", "gate", intermediate, width),
    ...linear("mlp.up_proj", "up", intermediate, width),
    ...linear("mlp.down_proj", "down", width, intermediate),
  ];
}

/**
 * Finds every weight of a decoder, ties included, and checks its dtype and shape.
 * @returns undefined where something is missing or does not fit, which is reported.
 */
export function decoderWeights(forward: ForwardModel, shape: DecoderShape, report: Report): DecoderWeights | undefined {
  const { model, architecture } = forward;
  const before = report.errors.length;
  const find = (spec: WeightSpec, sizes: readonly (number | undefined)[]): TensorView | undefined => {
    const found = resolveWeight(spec, model, architecture);
    if (found === undefined) {
      if (!spec.optional)
        report.error({
          code: "missing-tensor",
          message: "the tensor is missing",
          tensor: spec.name,
          model: model.name,
        });
      return undefined;
    }
    const { view } = found;
    const fits =
      view.shape.length === sizes.length && sizes.every((size, i) => size === undefined || size === view.shape[i]);
    if (fits && isFloat(view.dtype)) return view;
    report.error({
      code: "forward-tensor",
      message: fits
        ? `the forward pass reads floats, not ${view.dtype}`
        : `the shape is [${view.shape.join(", ")}], but config.json makes it [${sizes.map((size) => size ?? "vocabulary").join(", ")}]`,
      tensor: found.name,
      model: model.name,
    });
    return undefined;
  };
  const specs = weightSpecs(architecture);
  const [module] = architecture.modules;
  const embeddingSpec = specs.find(({ role }) => role === "embedding");
  const embedding = embeddingSpec && find(embeddingSpec, [undefined, shape.width]);
  const vocabulary = embedding?.shape[0] ?? 0;
  const parts = new Map(layerParts(shape).map((part) => [part.key, part]));
  const layers = (module?.layers ?? []).map((layer) => {
    const weights: Record<string, TensorView> = {};
    for (const spec of layer) {
      const part = parts.get(spec.key);
      const view = part && find(spec, part.sizes);
      if (part !== undefined && view !== undefined) weights[part.name] = view;
    }
    return weights;
  });
  const normSpec = module?.after.find(({ key }) => key === "norm.weight");
  const norm = normSpec && find(normSpec, [shape.width]);
  const headSpec = specs.find(({ role }) => role === "head");
  const head = headSpec && find(headSpec, [vocabulary || undefined, shape.width]);
  if (report.errors.length > before || embedding === undefined || norm === undefined) return undefined;
  return { embedding, layers, norm, head, vocabulary };
}
