import { matchesGlob } from "../architecture/glob.ts";
import { subfolderFiles } from "../architecture/subfolders.ts";
import type { Report } from "../errors.ts";
import { sideFilePath } from "../model/types.ts";
import type { PlanModel } from "./models.ts";
import type { MergeOptions, SideFile } from "./types.ts";

/** Files that a tokenizer or a processor is loaded from, besides any `*.jinja`, `*.tiktoken` and `*.model`. */
const TOKENIZER_FILES: ReadonlySet<string> = new Set([
  "added_tokens.json",
  "chat_template.json",
  "image_processor_config.json",
  "merges.txt",
  "preprocessor_config.json",
  "processor_config.json",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "video_preprocessor_config.json",
  "vocab.json",
  "vocab.txt",
]);
const TOKENIZER_ENDINGS = /\.(jinja|tiktoken|model)$/;
/** Sampling defaults belong to the model and not to the tokenizer: copied with or without one. */
const GENERATION_FILE = "generation_config.json";

/** Whether a tokenizer or a processor is loaded from the file. */
export function isTokenizerFile(name: string): boolean {
  return TOKENIZER_FILES.has(name) || TOKENIZER_ENDINGS.test(name);
}

/** Whether it belongs to the tokenizer of texts, and not to a processor of images or sounds. */
export function isTextTokenizerFile(name: string): boolean {
  return isTokenizerFile(name) && !name.endsWith("processor_config.json");
}

/**
 * What is copied from the donor as it is, files that its family names included. A donor without a tokenizer is a
 * warning where one was wanted.
 */
export function copiedFiles(
  { model: donor, architecture, at }: PlanModel,
  options: Pick<MergeOptions, "copyTokenizer">,
  report: Report,
): SideFile[] {
  if (options.copyTokenizer && !donor.sideFiles.some(isTokenizerFile)) {
    report.warn({
      code: "no-tokenizer",
      message: "the model has no tokenizer files, and so has the output none",
      at,
      model: donor.name,
    });
  }
  const isOfFamily = (name: string) => architecture.files.some((pattern) => matchesGlob(pattern, name));
  const own = donor.sideFiles
    .filter((name) => name === GENERATION_FILE || isOfFamily(name) || (options.copyTokenizer && isTokenizerFile(name)))
    .toSorted();
  const folders = new Set(architecture.modules.flatMap(({ subfolder }) => subfolder ?? []));
  const within = [...folders].flatMap((folder) => subfolderFiles(donor, folder).map((name) => `${folder}/${name}`));
  return [...own, ...within].map((name) => ({ name, from: sideFilePath(donor, name) }));
}
