import { join } from "node:path";
import { type OracleResult, oracle } from "../oracle/methods.ts";
import { readSafetensors } from "../support/safetensors.ts";
import { type Kit, valuesOf } from "./kit.ts";

/**
 * What is right where the reference fails or is wrong (`expect: better`). Each entry says why.
 *
 * - `refuse`: there is no right answer: a clear error that matches `naming`.
 * - `like`: the tensors that the reference wrote in another case, or in this one before it failed.
 * - `values`: every tensor worked out here from the inputs.
 */
export type Judgement = { reason: string; config?: Record<string, unknown> } & (
  | { right: "refuse"; naming: RegExp }
  | { right: "like"; other: string; part?: "expected_partial" }
  | { right: "values"; tensors(kit: Kit): Map<string, Judged> }
);

type Judged = Pick<OracleResult, "values" | "alternatives">;

const FINE_TUNES = ["llama-a", "llama-b", "llama-c"];

export const JUDGEMENTS: Readonly<Record<string, Judgement>> = {
  "c-linear-base-not-listed": {
    reason:
      "the base is one more model of linear, and nobody gave it a weight: the reference crashes, we say what lacks",
    right: "refuse",
    naming: /weight[\s\S]*llama-base|llama-base[\s\S]*weight/,
  },
  "c-slice-same-model-two-ranges": {
    reason: "the reference keys its inputs by model, so that the second range replaces the first",
    right: "values",
    tensors: (kit) => meanOfNeighbours(kit, "llama-a", 2),
    config: { num_hidden_layers: 2 },
  },
  "c-ties-same-model-twice": {
    reason: "the reference keys its inputs by model, so that the second entry replaces the first",
    right: "values",
    tensors: (kit) => tiesWithItself(kit, "llama-base", "llama-a", [0.5, 0.3], 0.5),
  },
  "t-qwen2-tied-stack": {
    reason: "the reference writes the weights and then fails to save config.json, whose layer_types it did not rebuild",
    right: "like",
    other: "t-qwen2-tied-stack",
    part: "expected_partial",
    config: { num_hidden_layers: 4, layer_types: Array(4).fill("full_attention"), tie_word_embeddings: true },
  },
  "t-qwen2-mixed-tied-first": {
    reason: "the reference stores a head and leaves config.json saying that it is tied: readers drop the head",
    right: "like",
    other: "t-qwen2-mixed-tied-first",
    config: { tie_word_embeddings: false },
  },
  "t-qwen2-mixed-untied-first": {
    reason: "the tied input contributes its embedding to the head, and config.json says that the head is stored",
    right: "like",
    other: "t-qwen2-mixed-untied-first",
    config: { tie_word_embeddings: false },
  },
  "t-qwen2-mixed-ties": {
    reason: "the reference stores a head and leaves config.json saying that it is tied: readers drop the head",
    right: "like",
    other: "t-qwen2-mixed-ties",
    config: { tie_word_embeddings: false },
  },
  "k-embed-mismatch-slerp": {
    reason: "the reference cuts the embedding and keeps vocab_size: the result does not load",
    right: "like",
    other: "k-embed-mismatch-slerp",
    config: { vocab_size: 286 },
  },
  "k-embed-mismatch-ties-smaller": {
    reason: "a fine-tune with fewer rows than the base crashes the reference: the common rows can be merged",
    right: "values",
    tensors: (kit) => tiesOfCommonRows(kit, "llama-base", ["llama-a", "llama-tokc"], [0.5, 0.5], 0.5),
    config: { vocab_size: 286 },
  },
  "k-embed-mismatch-sce": {
    reason: "the reference crashes where embeddings differ in size: the common rows can be merged",
    right: "values",
    tensors: (kit) => ofCommonRows(kit, "sce", ["llama-base", "llama-a", "llama-tokc"], () => [1]),
    config: { vocab_size: 286 },
  },
  "c-breadcrumbs-gamma0": {
    reason: "where no outlier is dropped the reference keeps nothing, and returns the base",
    right: "values",
    tensors: (kit) => breadcrumbs(kit, 0.6, 0),
  },
  "m-breadcrumbs_defgamma-f32": {
    reason: "where a hundredth of the elements is less than one the reference keeps nothing, and returns the base",
    right: "values",
    tensors: (kit) => breadcrumbs(kit, 0.9, 0.01),
  },
  "m-ramplus_tl-bf16": {
    reason: "the reference writes float32 whatever dtype says",
    right: "values",
    tensors: (kit) => ofCommonRows(kit, "ramplus_tl", ["llama-base", ...FINE_TUNES], () => [0.01, 0.2, 0.3]),
    config: { dtype: "bfloat16" },
  },
  "m-arcee_fusion-bf16": {
    reason: "the reference writes float32 whatever dtype says",
    right: "values",
    tensors: (kit) => ofCommonRows(kit, "arcee_fusion", ["llama-base", "llama-a"], () => []),
    config: { dtype: "bfloat16" },
  },
  "f-gptneox-linear": {
    reason: "the reference wants buffers that transformers stopped writing: the weights are all there",
    right: "values",
    tensors: (kit) => mean(kit, ["gptneox-a", "gptneox-b"], [0.6, 0.4]),
  },
  "f-gptneox-ties": {
    reason: "the reference wants buffers that transformers stopped writing: the weights are all there",
    right: "values",
    tensors: (kit) => tiesOfCommonRows(kit, "gptneox-base", ["gptneox-a", "gptneox-b"], [0.6, 0.4], 0.5),
  },
  "f-bertmodel-linear": {
    reason: "the reference crashes on the definition of its own family",
    right: "values",
    tensors: (kit) => mean(kit, ["bertmodel-a", "bertmodel-b"], [0.6, 0.4]),
  },
  "f-bert-ties": {
    reason: "the reference wants a pooler, which a masked language model does not have",
    right: "values",
    tensors: (kit) => tiesOfCommonRows(kit, "bert-base", ["bert-a", "bert-b"], [0.6, 0.4], 0.5),
    config: { tie_word_embeddings: true },
  },
  "o-lora-nocache": {
    reason: "the reference wants a folder for merged models: we apply the adapter as tensors are read",
    right: "values",
    tensors: (kit) => withAdapter(kit, "llama-base", "llama-lora"),
  },
  "moe-deepseek": {
    reason: "the reference fails where the output folder is not there yet",
    right: "like",
    other: "moe-deepseek-existing-dir",
  },
  "moe-qwen2-tied-noshared": {
    reason: "the reference wants a shared expert: one of zeros, behind a gate of zeros, adds nothing",
    right: "values",
    tensors: (kit) => qwenMixture(kit),
    config: { num_experts: 2, shared_expert_intermediate_size: 76, tie_word_embeddings: true },
  },
  "o-path-one-slash": {
    reason: "a folder whose name looks like a hub id: the reference asks the hub for its card, and fails offline",
    right: "like",
    other: "o-verbose",
  },
};

/** W + alpha / r B A, of PEFT's layout; the kit's adapter has one rank. */
function withAdapter(kit: Kit, base: string, adapter: string): Map<string, Judged> {
  const { r, lora_alpha: alpha } = JSON.parse(kit.read(`models/${adapter}/adapter_config.json`).toString());
  const factors = readSafetensors(join(kit.folder, "models", adapter, "adapter_model.safetensors")).tensors;
  return new Map(
    kit.inputNames(base).map((name) => {
      const path = `base_model.model.${name.replace(/\.weight$/, "")}`;
      const [a, b] = ["A", "B"].map((factor) => factors.get(`${path}.lora_${factor}.weight`));
      const values = Float64Array.from(kit.input(base, name));
      if (a !== undefined && b !== undefined) addProduct(values, valuesOf(a), valuesOf(b), r, alpha / r);
      return [name, { values, alternatives: new Map() }];
    }),
  );
}

/** The tensors of the same mixture with a shared expert, but for the latter, which is zero. */
function qwenMixture(kit: Kit): Map<string, Judged> {
  const expected = kit.expected("moe-qwen2-tied-cheap_embed");
  if (expected === undefined) throw new Error("the kit has no mixture with a shared expert");
  return new Map(
    [...expected.tensors].map(([name, { shape, stored }]) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const isZero = name.includes("shared_expert") || stored === undefined;
      return [name, { values: isZero ? new Float64Array(count) : valuesOf(stored), alternatives: new Map() }];
    }),
  );
}

/** values += scale B A; B is [rows, rank], A is [rank, columns]. */
function addProduct(values: Float64Array, a: Float64Array, b: Float64Array, rank: number, scale: number): void {
  const columns = a.length / rank;
  for (let i = 0; i < values.length; i++) {
    let sum = 0;
    for (let k = 0; k < rank; k++) {
      sum += (b[Math.floor(i / columns) * rank + k] as number) * (a[k * columns + (i % columns)] as number);
    }
    values[i] = (values[i] as number) + scale * sum;
  }
}

/** linear, weights 1 and 1, of layers i and i + 1 of one model; embeddings, norm and head meet themselves. */
function meanOfNeighbours(kit: Kit, model: string, layers: number): Map<string, Judged> {
  const tensors = new Map<string, Judged>();
  for (const name of kit.inputNames(model)) {
    const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
    if (layer !== undefined && Number(layer) >= layers) continue;
    const next = layer === undefined ? name : name.replace(`.${layer}.`, `.${Number(layer) + 1}.`);
    const other = kit.input(model, next);
    const values = kit.input(model, name).map((x, i) => (x + (other[i] as number)) / 2);
    tensors.set(name, { values, alternatives: new Map() });
  }
  return tensors;
}

/** breadcrumbs with weights 0.7 and 0.4, and the same shares for both models. */
function breadcrumbs(kit: Kit, density: number, gamma: number): Map<string, Judged> {
  return ofCommonRows(kit, "breadcrumbs", ["llama-base", "llama-a", "llama-b"], (count) => {
    const shares = [Math.trunc(gamma * count), Math.trunc(density * count)];
    return [1, 0, 0, 0.7, ...shares, 0.4, ...shares];
  });
}

/** linear: the models' tensors by name, weighted. */
function mean(kit: Kit, models: readonly string[], weights: readonly number[]): Map<string, Judged> {
  const names = kit.inputNames(models[0] as string);
  return new Map(
    names.map((name) => {
      const all = models.map((model) => kit.input(model, name));
      const values = (all[0] as Float64Array).map((_, i) =>
        all.reduce((sum, one, j) => sum + (one[i] as number) * (weights[j] as number), 0),
      );
      return [name, { values, alternatives: new Map() }];
    }),
  );
}

function tiesWithItself(kit: Kit, base: string, model: string, weights: number[], density: number) {
  return tiesOfCommonRows(kit, base, [model, model], weights, density);
}

/** ties, normalised, of what the models' tensors have in common from their start. */
function tiesOfCommonRows(kit: Kit, base: string, models: string[], weights: number[], density: number) {
  return ofCommonRows(kit, "ties", [base, ...models], (count) => {
    return [1, 1, 0, ...weights.flatMap((weight) => [weight, Math.trunc(density * count)])];
  });
}

/** What a kernel makes of the models, the base first; of tensors that differ in size, of their first rows. */
function ofCommonRows(
  kit: Kit,
  kernel: string,
  models: readonly string[],
  params: (count: number) => number[],
): Map<string, Judged> {
  const tensors = new Map<string, Judged>();
  for (const name of kit.inputNames(models[0] as string)) {
    const all = models.map((model) => kit.input(model, name));
    const count = Math.min(...all.map((values) => values.length));
    const columns = kit.inputShape(models[0] as string, name).at(-1) ?? 1;
    const result = oracle({
      kernel,
      params: params(count),
      inputs: all.map((values, stream) => ({ values: values.subarray(0, count), dtype: "F32", stream })),
      dtype: "F32",
      count,
      rows: count / columns,
      columns,
      seed: 0,
      tensor: name,
    });
    tensors.set(name, result);
  }
  return tensors;
}
