import { statSync } from "node:fs";
import { isFloat } from "../model/dtype.ts";
import { factorsOf } from "../model/patch.ts";
import { elementCount, type Model, sideFilePath, type TensorView } from "../model/types.ts";
import { layOut } from "../plan/layout.ts";
import { type PlacelessOp, tensorBytes } from "../plan/place.ts";
import { isTokenizerFile } from "../plan/side-files.ts";
import type { MergePlan, SideFile } from "../plan/types.ts";
import { differenceOp } from "./decompose.ts";
import type { ExtractedModule, ExtractionPlan, ExtractOptions } from "./types.ts";

const PREFIX = "base_model.model.";

/** What a finished extraction writes: a plan like any other, the factors copied from the file that holds them. */
export function adapterPlan(
  {
    extraction,
    modules,
    options,
  }: { extraction: ExtractionPlan; modules: readonly ExtractedModule[]; options: ExtractOptions },
  { tuned, base }: { tuned: Model; base: Model },
  { method, card, safeSerialization }: { method: string; card: string | undefined; safeSerialization: boolean },
): MergePlan {
  const kept = modules.filter(({ rank }) => rank > 0);
  const ops = [
    ...kept.flatMap((module) => factorOps(module, extraction)),
    ...biasOps(extraction, kept, options),
    ...extraction.saved.map(({ name, view, tunedName }) => wholeOp(PREFIX + name, view, tuned.name, tunedName)),
  ].toSorted((a, b) => (a.tensor < b.tensor ? -1 : 1));
  const sides: SideFile[] = [{ name: "adapter_config.json", text: configText(extraction, kept, options, base) }];
  if (card !== undefined) sides.push({ name: "README.md", text: card });
  if (extraction.grown) {
    for (const name of tuned.sideFiles.filter(isTokenizerFile)) sides.push({ name, from: sideFilePath(tuned, name) });
  }
  return planOfOps(ops, sides, { method, models: [tuned, base], safeSerialization, seed: options.seed });
}

/** A plan of one file, `adapter_model.safetensors`, and what lies beside it. */
export function planOfOps(
  ops: readonly PlacelessOp[],
  sideFiles: readonly SideFile[],
  {
    method,
    models,
    safeSerialization,
    seed,
  }: {
    method: string;
    models: readonly Pick<Model, "name" | "weightFiles">[];
    safeSerialization: boolean;
    seed: number;
  },
): MergePlan {
  const { ops: placed, shards } = layOut(ops, 0, safeSerialization ? "safetensors" : "torch");
  const file = `adapter_model.${safeSerialization ? "safetensors" : "bin"}`;
  const known = new Map(models.flatMap(({ weightFiles }) => weightFiles.map(({ path, size }) => [path, size])));
  const files = new Set(
    ops.flatMap(({ inputs }) => inputs.flatMap(({ view }) => [view.file, ...factorsOf(view).map((one) => one.file)])),
  );
  return {
    method,
    seed,
    models: models.map(({ name }) => name),
    baseModel: models.at(-1)?.name,
    inputFiles: [...files].map((path) => {
      const size = known.get(path);
      return size === undefined ? { path, size: statSync(path).size, made: true } : { path, size };
    }),
    ops: placed,
    shards: shards.map((shard) => ({ ...shard, file })),
    index: undefined,
    sideFiles,
    totals: {
      tensors: ops.length,
      parameters: ops.reduce((sum, { shape }) => sum + elementCount(shape), 0),
      bytesRead: ops.reduce((sum, { inputs }) => sum + inputs.reduce((all, { view }) => all + tensorBytes(view), 0), 0),
      bytesWritten: shards.reduce((sum, { size }) => sum + size, 0),
    },
    tied: [],
    warnings: [],
    varies: "low-rank factors",
  };
}

function factorOps({ path, a, b }: ExtractedModule, { modules }: ExtractionPlan): PlacelessOp[] {
  const isEmbedding = modules.find((module) => module.path === path)?.isEmbedding === true;
  const [kind, end] = isEmbedding ? ["lora_embedding", ""] : ["lora", ".weight"];
  return [
    wholeOp(`${PREFIX}${path}.${kind}_A${end}`, a, "the factors", path),
    wholeOp(`${PREFIX}${path}.${kind}_B${end}`, b, "the factors", path),
  ];
}

/** A tensor as it is; an adapter that it carries itself is applied. */
export function wholeOp(tensor: string, view: TensorView, model: string, stored: string): PlacelessOp {
  const inputs = [{ view, model, tensor: stored, position: 0 }];
  const how =
    view.patches === undefined || !isFloat(view.dtype)
      ? { kernel: "copy", params: [] }
      : { kernel: "linear", params: [1] };
  return { tensor, dtype: view.dtype, shape: view.shape, ...how, inputs };
}

function biasOps(
  { modules }: ExtractionPlan,
  kept: readonly ExtractedModule[],
  { biases }: ExtractOptions,
): PlacelessOp[] {
  const paths = new Set(kept.map(({ path }) => path));
  return modules.flatMap(({ path, bias }) => {
    if (bias === undefined || (biases === "difference" && !paths.has(path))) return [];
    const whole = `${PREFIX}${path}${paths.has(path) ? ".base_layer" : ""}.bias`;
    if (biases === "whole") return [wholeOp(whole, bias.tuned, "the fine-tuned model", bias.tunedName)];
    const { shard: _, offset: __, ...op } = differenceOp(bias);
    return [{ ...op, tensor: `${PREFIX}${path}.lora_B.bias`, dtype: bias.tuned.dtype }];
  });
}

/** adapter_config.json. Alpha equals the rank everywhere, so that the product of the factors is the difference. */
function configText(
  extraction: ExtractionPlan,
  modules: readonly ExtractedModule[],
  options: ExtractOptions,
  base: Model,
): string {
  const rank = Math.max(1, ...modules.map((module) => module.rank));
  const others = rankPattern(modules, rank);
  const targets = new Set(modules.map(({ path }) => path.slice(path.lastIndexOf(".") + 1)));
  const hasBiases = extraction.modules.some(({ bias }) => bias !== undefined);
  const bias = hasBiases && options.biases === "whole" ? "lora_only" : "none";
  const config = {
    base_model_name_or_path: base.ref.model.path,
    ...(base.ref.model.revision === undefined ? {} : { revision: base.ref.model.revision }),
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    inference_mode: true,
    r: rank,
    lora_alpha: rank,
    use_rslora: false,
    lora_dropout: 0,
    bias,
    fan_in_fan_out: extraction.fanInFanOut,
    target_modules: [...targets].toSorted(),
    modules_to_save: extraction.modulesToSave,
    rank_pattern: others,
    alpha_pattern: others,
    ...(extraction.tied && extraction.modulesToSave.length > 0 ? { ensure_weight_tying: true } : {}),
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

/**
 * The ranks that are not the usual one: by the last part of the name where all modules of that name have it, which holds
 * whatever a class calls the modules above; else by the whole name.
 */
function rankPattern(modules: readonly ExtractedModule[], usual: number): Record<string, number> {
  const byName = new Map<string, ExtractedModule[]>();
  for (const module of modules) {
    const last = module.path.slice(module.path.lastIndexOf(".") + 1);
    byName.set(last, [...(byName.get(last) ?? []), module]);
  }
  const entries = [...byName].flatMap(([last, list]): [string, number][] => {
    const [first] = list;
    if (first === undefined || list.some(({ rank }) => rank !== first.rank)) {
      return list.filter(({ rank }) => rank !== usual).map(({ path, rank }) => [path, rank]);
    }
    return first.rank === usual ? [] : [[last, first.rank]];
  });
  return Object.fromEntries(entries);
}
