import { join } from "node:path";
import { type OracleResult, oracle } from "../oracle/methods.ts";
import { readSafetensors } from "../support/safetensors.ts";
import { type Kit, valuesOf } from "./kit.ts";
import type { Output } from "./output.ts";
import { transplantTruth } from "./transplants.ts";
import { meanOf, rowsOf } from "./truth.ts";
import { tokenIds } from "./vocabulary.ts";

/**
 * What is right where the reference fails or is wrong (`expect: better`). Each entry says why.
 *
 * - `refuse`: there is no right answer: a clear error that matches `naming`.
 * - `like`: the tensors that the reference wrote in another case, or in this one before it failed.
 * - `print`: nothing is written, and what is printed matches `pattern`.
 * - `values`: every tensor worked out here from the inputs.
 *
 * With `overrules` an entry holds although the kit wants a match: what the reference wrote there is arbitrary.
 */
export type Judgement = { reason: string; config?: Record<string, unknown>; overrules?: boolean } & (
  | { right: "refuse"; naming: RegExp }
  | { right: "print"; pattern: RegExp }
  | { right: "like"; other: string; part?: "expected_partial" }
  | { right: "values"; tensors(kit: Kit, output: Output): Map<string, Judged> }
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
  "k-tok-zero": {
    reason: "kind: zero crashes the reference: the token's row is zeros in every model",
    right: "values",
    tensors: (kit, output) =>
      linearByToken(kit, output, ["llama-base", "llama-tokb", "llama-tokc"], [0.4, 0.3, 0.3], new Set(["<tool>"])),
    config: { vocab_size: 340 },
  },
  "k-tok-model-nonmember": {
    reason: "tokens that no merged model has crash the reference, where zeros were meant",
    right: "values",
    tensors: (kit, output) => linearByToken(kit, output, ["llama-base", "llama-tokc"], [0.4, 0.3], new Set()),
    config: { vocab_size: 298 },
  },
  "k-tok-mixed-tied-union": {
    reason: "the reference stores a head and leaves config.json saying that it is tied: readers drop the head",
    right: "like",
    other: "k-tok-mixed-tied-union",
    config: { tie_word_embeddings: false },
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
  "x-pytorch-weight0": {
    reason: "the reference takes a weight of 0 for none and crashes: it is the other model",
    right: "values",
    tensors: (kit) => mean(kit, ["llama-a", "llama-b"], [0, 1]),
  },
  "x-legacy-linear-noweight": {
    reason: "the help of the reference says that weights are 1 where none is given, and then it wants one",
    right: "values",
    tensors: (kit) => mean(kit, ["llama-a", "llama-b"], [0.5, 0.5]),
  },
  "x-legacy-naive": {
    reason: "the reference crashes on its own option --naive-count: every model has one vote on the sign",
    right: "values",
    tensors: (kit) =>
      ofCommonRows(kit, "ties_count", ["llama-base", "llama-a", "llama-b"], (count) => {
        return [1, 1, 0, ...[0.5, 0.5].flatMap((weight) => [weight, Math.trunc(0.5 * count)])];
      }),
  },
  "x-layershuffle-dryrun": {
    reason: "the reference crashes at its start: three layers, each from one of the two models",
    right: "print",
    pattern:
      /^merge_method: passthrough\nslices:\n( {2}- sources:\n {6}- model: \.\/models\/llama-[ab]\n {8}layer_range: \[[0-3], [0-3]\]\n){1,3}$/,
  },
  "o-path-one-slash": {
    reason: "a folder whose name looks like a hub id: the reference asks the hub for its card, and fails offline",
    right: "like",
    other: "o-verbose",
  },
  ...transplants(
    "the reference multiplies float32 coefficients with bfloat16 points, and fails",
    "x-tokensurgeon-common_interpolation",
    "common_interpolation --k 8",
  ),
  ...transplants("the reference passes its options where k is wanted, and fails", "x-tokensurgeon-stb", "stb --k 8"),
  ...transplants(
    "the reference looks for rope_theta where transformers 5 does not keep it, and fails",
    "x-tokensurgeon-mp_rope",
    "mp_rope --k 8",
  ),
  ...transplants(
    "the reference's rows are random and not recorded: ours are held to the same distribution's formula",
    "x-tokensurgeon-john_hewitt",
    "john_hewitt --random-seed 42",
    { overrules: true },
  ),
  ...transplants(
    "the reference applies the rotation the wrong way round, so that its rows depend on the signs that a decomposition " +
      "gives its vectors, which change with the seed of its random start",
    "x-tokensurgeon-landmark_pca",
    "landmark_pca",
    { overrules: true },
  ),
  ...transplants("as x-tokensurgeon-landmark_pca", "x-tokensurgeon-f32-landmark_pca", "landmark_pca", {
    overrules: true,
    models: ["llama-fp32", "llama-tokb-f32"],
  }),
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

/** Every tensor of the original as it is, and the rows of both matrices by token. @param method with its options. */
function transplants(
  reason: string,
  name: string,
  method: string,
  { overrules = false, models = ["llama-base", "llama-tokb"] } = {},
): Record<string, Judgement> {
  const command = `mergekit-tokensurgeon ${models.map((model) => `./models/${model}`).join(" ")} OUT --approximation-method ${method}`;
  const tensors = (kit: Kit) => {
    const [original = ""] = models;
    const all = kit.inputNames(original).map((tensor): [string, Judged] => {
      const values = kit.input(original, tensor);
      return [tensor, transplantTruth(kit, command, tensor) ?? { values, alternatives: new Map() }];
    });
    return new Map(all);
  };
  return { [name]: { reason, overrules, right: "values", tensors, config: { vocab_size: 298 } } };
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

/**
 * linear, normalised; embedding and head by token: a model's own row, else the base's (the first model's), else the only
 * owner's or the mean of the owners'; zeros for tokens of `zero` and those that no model has.
 */
function linearByToken(
  kit: Kit,
  output: Output,
  models: readonly string[],
  weights: readonly number[],
  zero: ReadonlySet<string>,
): Map<string, Judged> {
  const ids = tokenIds(output.folder);
  const known = models.map((model) => tokenIds(join(kit.folder, "models", model)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mixed = (parts: readonly Float64Array[]) =>
    (parts[0] as Float64Array).map((_, i) =>
      parts.reduce((sum, part, m) => sum + ((part[i] as number) * (weights[m] as number)) / total, 0),
    );
  const tensors = new Map<string, Judged>();
  for (const name of kit.inputNames(models[0] as string)) {
    const all = models.map((model) => kit.input(model, name));
    if (!/embed_tokens|lm_head/.test(name)) {
      tensors.set(name, { values: mixed(all), alternatives: new Map() });
      continue;
    }
    const rows = all.map((values, m) => rowsOf(values, kit.inputShape(models[m] as string, name)[0] as number));
    const width = rows[0]?.[0]?.length as number;
    const values = new Float64Array(ids.size * width);
    for (const [token, id] of ids) {
      const own = rows.map((matrix, m) => matrix[known[m]?.get(token) ?? -1]);
      const owners = own.filter((row) => row !== undefined);
      const fallback = own[0] ?? (owners.length > 0 ? meanOf(owners) : new Float64Array(width));
      if (!zero.has(token)) values.set(mixed(own.map((row) => row ?? fallback)), id * width);
    }
    tensors.set(name, { values, alternatives: new Map() });
  }
  return tensors;
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
