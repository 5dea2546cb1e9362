import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Problem, Report } from "../errors.ts";
import { type NamedRef, readNamed } from "./attribute.ts";
import { isFile, listFiles } from "./folder-files.ts";
import { expandHome } from "./hub-cache.ts";
import { readJsonObject } from "./json-file.ts";
import { didYouMean, ggufRefusal, locateModel } from "./locate.ts";
import { quantisedConfig, quantisedTensors } from "./quantised.ts";
import type { Model } from "./types.ts";
import { rawWeightFiles, type WeightFiles } from "./weight-files.ts";
import { readWeights } from "./weights.ts";

const CONFIG_FILE = "config.json";
/** A name that is meant for a file, whether there is one or not. */
const FILE = /\.(safetensors|bin|pt|pth|ckpt|index\.json)$/;

/**
 * Opens tensors that belong to no model family: a single file (safetensors or PyTorch's), an index of such files, or a
 * folder of them, local or in the Hugging Face cache. Diffusion models, adapters and training checkpoints are merged so,
 * by the tensors' names.
 * @param named the file or folder, and where the configuration names it; an adapter is another's concern.
 * @param options.cacheDir folder of the cache's `models--…` folders; undefined: the environment's.
 * @returns a model without architecture, its config empty where the folder has no config.json; undefined where the
 *   tensors cannot be used: then the report has at least one error, each with name and position.
 */
export function openRawModel(
  named: NamedRef,
  options: { cacheDir: string | undefined },
  report: Report,
): Model | undefined {
  return readNamed(named, report, (found, name) => {
    const path = resolve(expandHome(named.ref.model.path));
    if (!existsSync(path) && FILE.test(path)) {
      found.error({
        code: "model-not-found",
        message: `there is no file "${named.ref.model.path}": looked for ${path}`,
        hint: didYouMean(path),
      });
      return undefined;
    }
    const raw = isFile(path) ? rawFile(path) : rawFolder(locateModel(named.ref.model, options.cacheDir, found), found);
    return raw === undefined ? undefined : readRaw(raw, { ref: named.ref, name }, found);
  });
}

interface RawFiles {
  dir: string;
  weightFiles: WeightFiles;
  /** Names of all files that belong to the model. */
  names: readonly string[];
}

function rawFile(path: string): RawFiles {
  const file = basename(path);
  const weightFiles = file.endsWith(".index.json") ? { index: file, files: [] } : { index: undefined, files: [file] };
  return { dir: dirname(path), weightFiles, names: [file] };
}

function rawFolder(dir: string | undefined, report: Report): RawFiles | undefined {
  if (dir === undefined) return undefined;
  const names = listFiles(dir);
  const weightFiles = rawWeightFiles(names);
  if (weightFiles !== undefined) return { dir, weightFiles, names };
  report.error(noTensors(dir, names));
  return undefined;
}

function readRaw(
  { dir, weightFiles, names }: RawFiles,
  named: Pick<Model, "ref" | "name">,
  report: Report,
): Model | undefined {
  const configPath = join(dir, CONFIG_FILE);
  const config = names.includes(CONFIG_FILE) ? readJsonObject(configPath, CONFIG_FILE, report) : {};
  const refusal = config && quantisedConfig(config, configPath);
  if (refusal !== undefined) report.error(refusal);
  if (config === undefined || refusal !== undefined) return undefined;
  const weights = readWeights(dir, weightFiles, report);
  if (weights === undefined) return undefined;
  const quantised = quantisedTensors(weights.tensors);
  if (quantised !== undefined) report.error(quantised);
  const read = new Set(weights.files.map((file) => file.path));
  return {
    ...named,
    dir,
    config,
    architecture: undefined,
    tensors: weights.tensors,
    weightFiles: weights.files,
    sideFiles: names.filter((name) => !read.has(join(dir, name)) && name !== weightFiles.index),
  };
}

function noTensors(dir: string, names: readonly string[]): Problem {
  const gguf = names.find((name) => name.endsWith(".gguf"));
  if (gguf !== undefined) return ggufRefusal(join(dir, gguf));
  const inside = readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && rawWeightFiles(listFiles(join(dir, entry.name))) !== undefined)
    .map((entry) => entry.name)
    .sort();
  return {
    code: "no-weights",
    message: `no tensors: no *.safetensors, *.bin, *.pt, *.pth or *.ckpt in ${dir}`,
    hint:
      inside.length > 0 ? `name one of the folders in it that have some: ${inside.join(", ")}` : "name the file itself",
  };
}
