import { modelWeightFiles } from "../weight-files.ts";

const TRAINING_LOG = /^(trainer_state|all_results|train_results|eval_results)\.json$/;
/** Text beside the weights: configurations and tokenizers (JSON and others), chat templates, the code of either. */
const SIDE_FILE = /^[^/]+\.(json|jinja|tiktoken|model|py|cu|cpp)$|^(merges|vocab)\.txt$/;
const TOKENIZER_FILE = /^(tokenizer.*|vocab|tekken)\.(json|txt)$|\.(tiktoken|model)$/;

/** Files of one folder, and shards in folders within it. */
export interface ChosenFiles {
  /** Empty where there are none in a format that is read here. */
  weights: readonly string[];
  /** Configuration, tokenizer, templates, the weights' index. */
  sides: readonly string[];
}

/** Whether a name is that of a file that only a tokenizer has. */
export function isTokenizerFile(name: string): boolean {
  return TOKENIZER_FILE.test(name);
}

/**
 * What of a repository a merge needs: the weights that would be read of a folder with these files, and what lies beside
 * them.
 * @param names of all files in the folder; with those in folders within it that the index names.
 * @param index the index among them, and the files it names. One whose files are not all there is a leftover, and is left.
 */
export function chooseFiles(
  names: readonly string[],
  index: { name: string; shards: readonly string[] } | undefined,
): ChosenFiles {
  const isUsable = index !== undefined && index.shards.length > 0 && index.shards.every((name) => names.includes(name));
  if (!isUsable) {
    const others = names.filter((name) => !name.endsWith(".index.json"));
    return { weights: modelWeightFiles(others)?.files ?? [], sides: others.filter(isSideFile) };
  }
  const sides = names.filter((name) => name === index.name || (isSideFile(name) && !name.endsWith(".index.json")));
  return { weights: index.shards, sides };
}

function isSideFile(name: string): boolean {
  return SIDE_FILE.test(name) && !TRAINING_LOG.test(name);
}
