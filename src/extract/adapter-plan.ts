import { statSync } from "node:fs";
import { DTYPE_BYTES, isFloat } from "../model/dtype.ts";
import { factorsOf } from "../model/patch.ts";
import { elementCount, type Model, sideFilePath, type TensorView } from "../model/types.ts";
import { layOut } from "../plan/layout.ts";
import { type PlacelessOp, tensorBytes } from "../plan/place.ts";
import { isTokenizerFile } from "../plan/side-files.ts";
import type { MergePlan, SideFile } from "../plan/types.ts";
import { differenceOp } from "./decompose.ts";
import { EXPERTS, ROUTER } from "./modules.ts";
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
  {
    method,
    card,
    safeSerialization,
    factors,
  }: {
    method: string;
    card: string | undefined;
    safeSerialization: boolean;
    /** The file that holds the factors; it need not be there yet. */
    factors?: { path: string; size: number };
  },
): MergePlan {
  const kept = modules.filter(({ rank }) => rank > 0);
  const ops = [
    ...kept.flatMap((module) => (parameterOf(module) === undefined ? factorOps(module, extraction) : [])),
    ...parametersOf(kept).flatMap((entries, _, all) => parameterOps(entries, all)),
    ...biasOps(extraction, kept, options),
    ...extraction.saved.map(({ name, view, tunedName }) => wholeOp(PREFIX + name, view, tuned.name, tunedName)),
  ].toSorted((a, b) => (a.tensor < b.tensor ? -1 : 1));
  const sides: SideFile[] = [{ name: "adapter_config.json", text: configText(extraction, kept, options, base) }];
  if (card !== undefined) sides.push({ name: "README.md", text: card });
  if (extraction.grown) {
    for (const name of tuned.sideFiles.filter(isTokenizerFile)) sides.push({ name, from: sideFilePath(tuned, name) });
  }
  const spilled = factors === undefined ? [] : [{ name: "the factors", weightFiles: [factors] }];
  const plan = planOfOps(ops, sides, {
    method,
    models: [...spilled, tuned, base],
    safeSerialization,
    seed: options.seed,
  });
  return { ...plan, models: [tuned.name, base.name] };
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
    // All of them, though the factors are read from elsewhere: the output folder must be none of theirs.
    inputFiles: [...new Set([...files, ...known.keys()])].map((path) => {
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

function parameterOf({ together }: ExtractedModule) {
  return together?.parameter;
}

/** The experts of each parameter that packs them, in the order of the class. */
function parametersOf(modules: readonly ExtractedModule[]): ExtractedModule[][] {
  const found = new Map<string, ExtractedModule[]>();
  for (const module of modules) {
    const word = parameterOf(module) && module.together?.word;
    if (word !== undefined) found.set(word, [...(found.get(word) ?? []), module]);
  }
  return [...found.values()];
}

/**
 * One pair of factors for all experts, as PEFT has them: A [experts x rank, inputs], B [outputs, rank x experts], the
 * experts innermost. A module's first parameter lies innermost in its wrappers, under `base_layer` once for each other.
 */
function parameterOps(
  entries: readonly ExtractedModule[],
  all: readonly (readonly ExtractedModule[])[],
): PlacelessOp[] {
  const [first] = entries;
  const parameter = first && parameterOf(first);
  if (first === undefined || parameter === undefined) return [];
  const ofModule = all.filter(([one]) => one && parameterOf(one)?.path === parameter.path);
  const path = `${PREFIX}${parameter.path}${".base_layer".repeat(ofModule.length - 1 - ofModule.indexOf(entries))}`;
  return packedOps(entries, [`${path}.lora_A.weight`, `${path}.lora_B.weight`], "the factors", parameter.path);
}

/** A and B of all experts of a parameter, whose factors lie at equal distances. */
export function packedOps(
  entries: readonly ExtractedModule[],
  [nameOfA, nameOfB]: readonly [string, string],
  model: string,
  stored: string,
): PlacelessOp[] {
  const [first, second] = entries;
  if (first === undefined) return [];
  const { a, b, rank } = first;
  const [count, inputs, outputs] = [entries.length, a.shape[1] ?? 0, b.shape[0] ?? 0];
  const spacing = ({ offset }: TensorView, other: TensorView | undefined) =>
    other === undefined ? 0 : (other.offset - offset) / DTYPE_BYTES[other.dtype];
  const viewOfA = { ...a, shape: [count, rank, inputs], strides: [spacing(a, second?.a), inputs, 1] };
  const viewOfB = { ...b, shape: [outputs, rank, count], strides: [b.strides?.[0] ?? rank, 1, spacing(b, second?.b)] };
  return [
    { ...wholeOp(nameOfA, viewOfA, model, stored), shape: [count * rank, inputs] },
    { ...wholeOp(nameOfB, viewOfB, model, stored), shape: [outputs, rank * count] },
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
  // Loaders that put experts into one tensor give them the usual rank.
  const ofExperts = modules.find(({ together }) => together?.word === EXPERTS);
  const rank = ofExperts?.rank ?? Math.max(1, ...modules.map((module) => module.rank));
  const parameters = [...new Set(modules.flatMap((module) => parameterName(module, modules) ?? []))].toSorted();
  const linear = modules.filter((module) => parameterName(module, modules) === undefined);
  const targets = new Set(linear.map(({ path }) => path.slice(path.lastIndexOf(".") + 1)));
  const others = rankPattern(modules, rank);
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
    ...(parameters.length === 0 ? {} : { target_parameters: parameters }),
    modules_to_save: extraction.modulesToSave,
    rank_pattern: others,
    alpha_pattern: others,
    ...(extraction.tied ? { ensure_weight_tying: true } : {}),
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

/** The end of a parameter's name where it is one that has factors: packed experts, and what routes to them. */
function parameterName(module: ExtractedModule, all: readonly ExtractedModule[]): string | undefined {
  const parameter = parameterOf(module);
  if (parameter !== undefined) return `${parameter.path}.${parameter.name}`.split(".").slice(-3).join(".");
  const block = module.path.slice(0, module.path.lastIndexOf("."));
  const isRouter = ROUTER.test(module.path) && all.some((one) => parameterOf(one)?.path.startsWith(`${block}.`));
  return isRouter ? `${module.path}.weight`.split(".").slice(-3).join(".") : undefined;
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
    const isParameter = first !== undefined && parameterOf(first) !== undefined;
    if (first === undefined || list.some(({ rank }) => rank !== first.rank)) {
      return list.filter(({ rank }) => rank !== usual).flatMap((one) => keysOf(nameOf(one), isParameter, one.rank));
    }
    return first.rank === usual ? [] : keysOf(last, isParameter, first.rank);
  });
  return Object.fromEntries(entries);
}

function nameOf(module: ExtractedModule): string {
  const parameter = parameterOf(module);
  return parameter === undefined ? module.path : `${parameter.path}.${parameter.name}`;
}

/** Loaders may take a router for a parameter, whose name ends in `weight`. */
function keysOf(name: string, isParameter: boolean, rank: number): [string, number][] {
  const also: [string, number][] = !isParameter && ROUTER.test(name) ? [[`${name}.weight`, rank]] : [];
  return [[name, rank], ...also];
}
