import { existsSync, readFileSync } from "node:fs";
import type { Report } from "../errors.ts";
import { applyEdits, type ConfigEdits } from "../model/config-edits.ts";
import { readJsonObject } from "../model/json-file.ts";
import { sideFilePath } from "../model/types.ts";
import { configText } from "../plan/config-json.ts";
import { isTokenizerFile } from "../plan/side-files.ts";
import type { SideFile } from "../plan/types.ts";
import type { TokenModel } from "./models.ts";
import { generationIds, tokenIdEdits } from "./token-ids.ts";

const GENERATION_FILE = "generation_config.json";
/** Of images and sound: the model's own, whatever its tokens. */
const PROCESSOR_FILE = /(^|_)(pre)?processor(_config)?\.json$/;

/**
 * Everything but weights: config.json of the model with the donor's vocabulary, the donor's tokenizer and chat template,
 * generation settings with the donor's ids, and whatever else goes along with the model.
 * @param kept files that the model's family takes along, as the plan of a copy has them.
 * @param rows of the new embedding.
 */
export function transplantFiles(
  original: TokenModel,
  donor: TokenModel,
  kept: readonly SideFile[],
  rows: number,
  report: Report,
): SideFile[] {
  const ids = tokenIdEdits(original, donor);
  const edits: ConfigEdits = new Map([[original.architecture.keys.vocabSize, rows], ...ids]);
  const files: SideFile[] = [{ name: "config.json", text: configText(original.model, edits) }];
  for (const file of kept) {
    if (file.name === "config.json") continue;
    if (file.name === GENERATION_FILE && "from" in file) files.push(generationFile(file.from, donor, ids, report));
    else files.push(file);
  }
  const processors = original.model.sideFiles.filter((name) => PROCESSOR_FILE.test(name));
  for (const name of processors.toSorted()) files.push({ name, from: sideFilePath(original.model, name) });
  const tokenizer = donor.model.sideFiles.filter((name) => isTokenizerFile(name) && !PROCESSOR_FILE.test(name));
  for (const name of tokenizer.toSorted()) files.push({ name, from: sideFilePath(donor.model, name) });
  const byName = new Map(files.map((file) => [file.name, file]));
  return [...byName.values()];
}

function generationFile(from: string, donor: TokenModel, ids: ConfigEdits, report: Report): SideFile {
  const path = sideFilePath(donor.model, GENERATION_FILE);
  const theirs = existsSync(path)
    ? readJsonObject(path, `${GENERATION_FILE} of ${donor.model.name}`, report)
    : undefined;
  const own = readJsonObject(from, GENERATION_FILE, report);
  if (own === undefined) return { name: GENERATION_FILE, text: readFileSync(from, "utf8") };
  const text = JSON.stringify(applyEdits(own, generationIds(own, theirs, ids)), null, 2);
  return { name: GENERATION_FILE, text: `${text}\n` };
}
