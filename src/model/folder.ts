import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Position, type Problem, Report } from "../errors.ts";
import { INDEX_FILE } from "./index-file.ts";
import { isObject, readJsonObject } from "./json-file.ts";
import { ggufRefusal, locateModel } from "./locate.ts";
import { formatModelPath, formatModelRef, type ModelRef } from "./ref.ts";
import type { Model } from "./types.ts";
import { readWeights } from "./weights.ts";

const CONFIG_FILE = "config.json";

/**
 * Finds a model (a folder, or a snapshot in the Hugging Face cache) and reads its config.json and the headers of its
 * weight files.
 * @param named the model, and where the configuration names it.
 * @param options.cacheDir folder of the cache's `models--…` folders; undefined: the environment's.
 * @returns undefined where the model cannot be used: then the report has at least one error, each with model and position.
 */
export function openModel(
  named: { ref: ModelRef; at?: Position | undefined },
  options: { cacheDir: string | undefined },
  report: Report,
): Model | undefined {
  const name = formatModelPath(named.ref.model);
  const found = new Report();
  const attributed = (problem: Problem): Problem => ({ ...problem, at: named.at, model: name });
  const model = readModel(named.ref, name, options.cacheDir, found);
  for (const problem of found.errors) report.error(attributed(problem));
  for (const problem of found.warnings) report.warn(attributed(problem));
  return found.errors.length === 0 ? model : undefined;
}

function readModel(ref: ModelRef, name: string, cacheDir: string | undefined, report: Report): Model | undefined {
  if (ref.lora !== undefined) {
    report.error({
      code: "not-yet-lora",
      message: `not yet: LoRA adapters ("${formatModelRef(ref)}")`,
      hint: "merge the adapter into its model first, and name the merged model",
    });
    return undefined;
  }
  try {
    const dir = locateModel(ref.model, cacheDir, report);
    return dir === undefined ? undefined : readFolder(dir, ref, name, report);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    report.error({ code: "unreadable-file", message: `cannot read the model: ${error.message}`, path: error.path });
    return undefined;
  }
}

function readFolder(dir: string, ref: ModelRef, name: string, report: Report): Model | undefined {
  const names = listFiles(dir);
  const refusal = refuseFiles(names, dir);
  if (refusal !== undefined) report.error(refusal);
  const config = readConfig(dir, names, report);
  const isQuantised = config !== undefined && refuseQuantised(config, dir, report);
  if (refusal !== undefined || isQuantised) return undefined;
  const weights = readWeights(dir, names, report);
  if (config === undefined || weights === undefined) return undefined;
  const weightFiles = new Set(weights.files.map((file) => file.path));
  return {
    ref,
    name,
    dir,
    config,
    architecture: ref.overrideArchitecture ?? firstArchitecture(config),
    tensors: weights.tensors,
    weightFiles: weights.files,
    sideFiles: names.filter((file) => !weightFiles.has(join(dir, file))),
  };
}

/** Names of the files in a folder, and of links to files (the Hub's cache has only links), in order. */
function listFiles(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isFile() || (entry.isSymbolicLink() && isFile(join(dir, entry.name))))
    .map((entry) => entry.name)
    .sort();
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** A folder whose weights are in no format that is read here. */
function refuseFiles(names: readonly string[], dir: string): Problem | undefined {
  if (names.some((name) => name === INDEX_FILE || name.endsWith(".safetensors"))) return undefined;
  const gguf = names.find((name) => name.endsWith(".gguf"));
  if (gguf !== undefined) return ggufRefusal(join(dir, gguf));
  const pickled = names.find((name) => /\.(bin|bin\.index\.json|pt|pth)$/.test(name));
  if (pickled !== undefined) {
    return {
      code: "not-yet-pytorch-bin",
      message: `not yet: PyTorch .bin inputs (the folder has ${pickled}, and no safetensors)`,
      hint: "convert the model to safetensors",
    };
  }
  return {
    code: "no-weights",
    message: `the model has no weights: no *.safetensors in ${dir}`,
    hint: "fetch the model's weight files",
  };
}

function readConfig(dir: string, names: readonly string[], report: Report): Record<string, unknown> | undefined {
  if (names.includes(CONFIG_FILE)) return readJsonObject(join(dir, CONFIG_FILE), CONFIG_FILE, report);
  if (names.includes("adapter_config.json")) {
    report.error({
      code: "adapter-is-no-model",
      message: `${dir} holds a LoRA adapter, not a model`,
      hint: "write base+adapter (not yet supported), or merge the adapter into its model first",
    });
  } else if (!names.some((name) => name.endsWith(".gguf"))) {
    report.error({
      code: "no-config",
      message: `the model has no ${CONFIG_FILE}: looked in ${dir}`,
      hint: "fetch the model's config.json",
    });
  }
  return undefined;
}

function refuseQuantised(config: Readonly<Record<string, unknown>>, dir: string, report: Report): boolean {
  const quantisation = config.quantization_config;
  if (!isObject(quantisation)) return false;
  const method = typeof quantisation.quant_method === "string" ? quantisation.quant_method : "unknown method";
  report.error({
    code: "quantised-model",
    message: `the model is quantised (${method}), and quantised weights cannot be merged`,
    path: join(dir, CONFIG_FILE),
    hint: "use the model's 16-bit or 32-bit weights; quantise the merged model",
  });
  return true;
}

function firstArchitecture(config: Readonly<Record<string, unknown>>): string | undefined {
  const first: unknown = Array.isArray(config.architectures) ? config.architectures[0] : undefined;
  return typeof first === "string" ? first : undefined;
}

function isSystemError(error: unknown): error is Error & { path?: string } {
  return error instanceof Error && "syscall" in error;
}
