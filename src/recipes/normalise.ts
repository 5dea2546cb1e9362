import { readLayerStack } from "../config/bakllama.ts";
import { isMulti, readMultiConfig } from "../config/multi.ts";
import { type ReadOptions, readMergeConfig } from "../config/read.ts";
import type { MergeConfig } from "../config/types.ts";
import { parseYamlDocuments } from "../config/yaml.ts";
import { type Report, SinterError } from "../errors.ts";
import { findMethod, methodProblem } from "../methods/index.ts";
import { readMixtureConfig } from "../moe/config.ts";
import { mixtureText } from "../moe/recipe.ts";
import { multiText, normalText } from "../plan/recipe.ts";
import { layerStackText } from "./bakllama.ts";

/**
 * A configuration in normal form, whichever program it is for: of one merge, of several, of a mixture, or of bakllama (which
 * becomes a merge). The normal form of a normal form is itself.
 * @param file names the text in positions.
 * @throws SinterError with every error of the text.
 */
export function normalise(text: string, file: string, options: ReadOptions, report: Report): string {
  const documents = parseYamlDocuments(text, file, report);
  if (documents === undefined) throw new SinterError(report.errors);
  if (isMulti(documents)) {
    const { merges } = readMultiConfig(text, file, options, report);
    for (const { config } of merges) checkMethod(config, report);
    report.throwIfErrors();
    return multiText(merges);
  }
  const has = (name: string) => documents[0]?.root.entries.some(({ key }) => key.value === name) === true;
  if (has("experts")) return mixtureText(readMixtureConfig(text, file, options, report));
  if (has("layer_slices")) {
    const stack = layerStackText(readLayerStack(text, file, options, report), false);
    return normalText(readMergeConfig(stack, `${file} as a merge`, options, report));
  }
  const config = readMergeConfig(text, file, options, report);
  checkMethod(config, report);
  report.throwIfErrors();
  return normalText(config);
}

/** Defaults are those of the method. */
function checkMethod({ mergeMethod, mergeMethodAt }: MergeConfig, report: Report): void {
  if (findMethod(mergeMethod) === undefined) report.error(methodProblem(mergeMethod, mergeMethodAt));
}
