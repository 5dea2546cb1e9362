import { join } from "node:path";
import type { Problem, Report } from "../errors.ts";
import { type NamedRef, readNamed } from "./attribute.ts";
import { listFiles } from "./folder-files.ts";
import { readJsonObject } from "./json-file.ts";
import { ggufRefusal, locateModel } from "./locate.ts";
import { quantisedConfig, quantisedTensors } from "./quantised.ts";
import type { ModelRef } from "./ref.ts";
import type { Model } from "./types.ts";
import { modelWeightFiles } from "./weight-files.ts";
import { readWeights } from "./weights.ts";

const CONFIG_FILE = "config.json";

/**
 * Finds a model (a folder, or a snapshot in the Hugging Face cache) and reads its config.json and the headers of its
 * weight files. An adapter that the reference names is left to `openReference` in src/lora.
 * @param named the model, and where the configuration names it.
 * @param options.cacheDir folder of the cache's `models--…` folders; undefined: the environment's.
 * @returns undefined where the model cannot be used: then the report has at least one error, each with model and position.
 */
export function openModel(
  named: NamedRef,
  options: { cacheDir: string | undefined },
  report: Report,
): Model | undefined {
  return readNamed(named, report, (found, name) => {
    const dir = locateModel(named.ref.model, options.cacheDir, found);
    return dir === undefined ? undefined : readFolder(dir, named.ref, name, found);
  });
}

function readFolder(dir: string, ref: ModelRef, name: string, report: Report): Model | undefined {
  const names = listFiles(dir);
  const found = modelWeightFiles(names);
  if (found === undefined) report.error(noWeights(names, dir));
  const config = readConfig(dir, names, report);
  const quantised = config && quantisedConfig(config, join(dir, CONFIG_FILE));
  if (quantised !== undefined) report.error(quantised);
  if (found === undefined || quantised !== undefined) return undefined;
  const weights = readWeights(dir, found, report);
  if (config === undefined || weights === undefined) return undefined;
  const quantisedWeights = quantisedTensors(weights.tensors);
  if (quantisedWeights !== undefined) report.error(quantisedWeights);
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

/** A folder whose weights are in no file that is read here. */
function noWeights(names: readonly string[], dir: string): Problem {
  const gguf = names.find((name) => name.endsWith(".gguf"));
  if (gguf !== undefined) return ggufRefusal(join(dir, gguf));
  return {
    code: "no-weights",
    message: `the model has no weights: no *.safetensors, and no pytorch_model.bin, in ${dir}`,
    hint: "fetch the model's weight files",
  };
}

function readConfig(dir: string, names: readonly string[], report: Report): Record<string, unknown> | undefined {
  if (names.includes(CONFIG_FILE)) return readJsonObject(join(dir, CONFIG_FILE), CONFIG_FILE, report);
  if (names.includes("adapter_config.json")) {
    report.error({
      code: "adapter-is-no-model",
      message: `${dir} holds a LoRA adapter, not a model`,
      hint: "write base+adapter: the adapter is applied to its model as it is read",
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

function firstArchitecture(config: Readonly<Record<string, unknown>>): string | undefined {
  const first: unknown = Array.isArray(config.architectures) ? config.architectures[0] : undefined;
  return typeof first === "string" ? first : undefined;
}
