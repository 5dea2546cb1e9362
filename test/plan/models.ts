import { readMergeConfig } from "../../src/config/read.ts";
import { type Problem, Report, SinterError } from "../../src/errors.ts";
import type { Dtype } from "../../src/model/dtype.ts";
import type { Model, TensorView } from "../../src/model/types.ts";
import { buildPlan } from "../../src/plan/build.ts";
import { tensorBytes } from "../../src/plan/place.ts";
import { DEFAULT_OPTIONS, type MergeOp, type MergeOptions, type MergePlan } from "../../src/plan/types.ts";

export interface TinyModel {
  class?: "LlamaForCausalLM" | "Qwen2ForCausalLM" | "MistralForCausalLM";
  layers?: number;
  hidden?: number;
  /** Rows of the embedding and of the head. */
  rows?: number;
  dtype?: Dtype;
  /** What config.json says; without a head in the file unless `head` is set. */
  tied?: boolean;
  head?: boolean;
  /** Spread over config.json. */
  config?: Record<string, unknown>;
  /** Tensors that replace or join the usual ones; undefined takes one away. */
  tensors?: Record<string, Pick<TensorView, "dtype" | "shape"> | undefined>;
  sideFiles?: string[];
  dir?: string;
}

/** A model as opening a folder would give it, but there is no folder. */
export function tinyModel(name: string, tiny: TinyModel = {}): Model {
  const { layers = 2, rows = 10, dtype = "BF16", tied = false, dir = `/models/${name}` } = tiny;
  const architecture = tiny.class ?? "LlamaForCausalLM";
  const file = `${dir}/model.safetensors`;
  const tensors = new Map<string, TensorView>();
  let offset = 0;
  for (const [tensor, part] of Object.entries({ ...usualTensors(tiny), ...tiny.tensors })) {
    if (part === undefined) continue;
    tensors.set(tensor, { file, offset, ...part });
    offset += tensorBytes(part);
  }
  const config = {
    architectures: [architecture],
    model_type: architecture.replace("ForCausalLM", "").toLowerCase(),
    num_hidden_layers: layers,
    vocab_size: rows,
    tie_word_embeddings: tied,
    torch_dtype: { F64: "float64", F32: "float32", F16: "float16" }[dtype as string] ?? "bfloat16",
    ...tiny.config,
  };
  return {
    ref: { model: { path: name } },
    name,
    dir,
    config,
    architecture,
    tensors,
    weightFiles: [{ path: file, size: offset + 1000 }],
    sideFiles: tiny.sideFiles ?? ["config.json", "tokenizer.json"],
  };
}

function usualTensors(tiny: TinyModel): Record<string, Pick<TensorView, "dtype" | "shape">> {
  const { layers = 2, hidden = 4, rows = 10, dtype = "BF16", tied = false, head = !tied } = tiny;
  const matrix = { dtype, shape: [hidden, hidden] };
  const vector = { dtype, shape: [hidden] };
  const tensors: Record<string, Pick<TensorView, "dtype" | "shape">> = {
    "model.embed_tokens.weight": { dtype, shape: [rows, hidden] },
  };
  for (let layer = 0; layer < layers; layer++) {
    const part = (name: string) => `model.layers.${layer}.${name}`;
    for (const name of ["input_layernorm", "post_attention_layernorm"]) tensors[part(`${name}.weight`)] = vector;
    for (const name of ["q", "k", "v", "o"]) tensors[part(`self_attn.${name}_proj.weight`)] = matrix;
    for (const name of ["gate", "up", "down"]) tensors[part(`mlp.${name}_proj.weight`)] = matrix;
    if (tiny.class === "Qwen2ForCausalLM") {
      for (const name of ["q", "k", "v"]) tensors[part(`self_attn.${name}_proj.bias`)] = vector;
    }
  }
  tensors["model.norm.weight"] = vector;
  if (head) tensors["lm_head.weight"] = { dtype, shape: [rows, hidden] };
  return tensors;
}

export interface Planned {
  plan: MergePlan;
  report: Report;
  /** The op of an output tensor. */
  op(tensor: string): MergeOp;
  /** config.json of the output. */
  config: Record<string, unknown>;
  /** Codes of the warnings. */
  warned: string[];
}

/** Plans a configuration over models that are found by their names. @throws SinterError */
export function plan(yaml: string, models: readonly Model[], options: Partial<MergeOptions> = {}): Planned {
  const report = new Report();
  const chosen = { ...DEFAULT_OPTIONS, ...options };
  const config = readMergeConfig(yaml, "recipe.yml", { strict: chosen.strict }, report);
  const merged = buildPlan(config, chosen, "my-merge", report, ({ ref, at }, into) => {
    const model = models.find(({ name }) => name === ref.model.path);
    if (model === undefined) into.error({ code: "no-model", message: `no ${ref.model.path}`, at });
    return model && { ...model, ref };
  });
  return {
    plan: merged,
    report,
    op: (tensor) => {
      const op = merged.ops.find((candidate) => candidate.tensor === tensor);
      if (op === undefined) throw new Error(`the output has no ${tensor}`);
      return op;
    },
    config: JSON.parse(sideText(merged, "config.json")),
    warned: report.warnings.map(({ code }) => code),
  };
}

/** The text of a side file that the plan makes. */
export function sideText(plan: MergePlan, name: string): string {
  const file = plan.sideFiles.find((candidate) => candidate.name === name);
  if (file === undefined || !("text" in file)) throw new Error(`the plan makes no ${name}`);
  return file.text;
}

/** Every problem of a plan that cannot be made. */
export function problems(...args: Parameters<typeof plan>): readonly Problem[] {
  try {
    plan(...args);
  } catch (error) {
    if (error instanceof SinterError) return error.problems;
    throw error;
  }
  throw new Error("the plan was made");
}

export const codes = (...args: Parameters<typeof plan>): string[] => problems(...args).map(({ code }) => code);
