import { INDEX_FILE } from "./index-file.ts";

/** The files that hold a model's tensors: those that an index names, else those listed. */
export interface WeightFiles {
  index: string | undefined;
  files: readonly string[];
}

interface Format {
  /** The whole model by its name. */
  single: string;
  index: string;
  any: RegExp;
}

/** What a model folder may hold its weights in, the better format first. */
const FORMATS: readonly Format[] = [
  { single: "model.safetensors", index: INDEX_FILE, any: /\.safetensors$/ },
  { single: "pytorch_model.bin", index: "pytorch_model.bin.index.json", any: /\.bin$/ },
  { single: "pytorch_model.pt", index: "pytorch_model.pt.index.json", any: /\.pth?$/ },
];
/** Where no model is expected but any tensors are. */
const RAW_FORMATS = [
  { index: /\.safetensors\.index\.json$/, any: /\.safetensors$/ },
  { index: /\.(bin|pt|pth|ckpt)\.index\.json$/, any: /\.(bin|pt|pth|ckpt)$/ },
];
/** Written beside a checkpoint by training programs: no weights. */
const TRAINING_STATE = /^(training_args|optimizer|scheduler|scaler|rng_state.*|random_states.*)\.(bin|pt|pth)$/;
/** The same weights again, in the layout of the model's authors. */
const SECOND_COPY = /^consolidated\b/;

/**
 * Which of a model folder's files hold its weights: safetensors, and only where there are none, PyTorch's; of each the
 * shards that an index names, else the single file, else all there are.
 * @param names the files in the folder; of those in folders within it, only an index speaks.
 * @returns undefined where there are none.
 */
export function modelWeightFiles(names: readonly string[]): WeightFiles | undefined {
  for (const { single, index, any } of FORMATS) {
    if (names.includes(index)) return { index, files: [] };
    if (names.includes(single)) return { index: undefined, files: [single] };
    const files = weightsAmong(names, any);
    const own = files.filter((name) => !SECOND_COPY.test(name));
    if (files.length > 0) return { index: undefined, files: own.length > 0 ? own : files };
  }
  return undefined;
}

/** As `modelWeightFiles`, for a folder whose files may have any names. */
export function rawWeightFiles(names: readonly string[]): WeightFiles | undefined {
  for (const { index, any } of RAW_FORMATS) {
    const indexes = names.filter((name) => index.test(name));
    if (indexes.length === 1) return { index: indexes[0], files: [] };
    const files = weightsAmong(names, any);
    if (files.length > 0) return { index: undefined, files };
  }
  return undefined;
}

function weightsAmong(names: readonly string[], format: RegExp): string[] {
  return names.filter((name) => format.test(name) && !TRAINING_STATE.test(name) && !name.includes("/")).sort();
}
