import { existsSync } from "node:fs";
import { join } from "node:path";
import type { MergeConfig, TokenizerConfig } from "../config/types.ts";
import type { Report } from "../errors.ts";
import { applyEdits, type ConfigEdits } from "../model/config-edits.ts";
import { isObject, readJsonObject } from "../model/json-file.ts";
import { gatherTargets } from "./gather.ts";
import type { PlanModel, PlanModels } from "./models.ts";
import { buildOutputTokenizer, type OutputTokenizer } from "./output-tokenizer.ts";
import { findRowSources, type RowSources } from "./row-sources.ts";
import type { Target } from "./targets.ts";
import { withTokenizer } from "./token-files.ts";
import { tokenIdEdits } from "./token-ids.ts";
import type { MergeOptions, SideFile, VocabularySummary } from "./types.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** What building a tokenizer comes to: targets whose rows are gathered, and files that say what they mean. */
export interface SettledTokens extends Vocabulary {
  /** Ids that the donor's config.json names. */
  edits: ConfigEdits;
  /** The side files with the output's tokenizer in place of the donor's. */
  files(copied: readonly SideFile[]): SideFile[];
  summary: VocabularySummary;
}

/**
 * Builds the tokenizer that the recipe asks for, and has every embedding and head bring its rows in that order.
 * The output has a row for each id up to the tokenizer's last, and padding up to `pad_to_multiple_of`: the mean of all
 * rows. Rows of the models beyond their tokenizers are left out.
 * @returns undefined where something is wrong: then the report has errors.
 */
export function settleTokens(
  config: MergeConfig,
  wanted: TokenizerConfig,
  models: PlanModels,
  targets: readonly Target[],
  { cacheDir }: Pick<MergeOptions, "cacheDir">,
  report: Report,
): SettledTokens | undefined {
  const output = buildOutputTokenizer(config, wanted, models, cacheDir, report);
  if (output === undefined) return undefined;
  const sources = findRowSources(output, wanted, report);
  reportTrimmed(output, sources, wanted, report);
  const renumbered = donorIds(models.donor, output, report);
  return {
    targets: gatherTargets(targets, output, sources, report),
    size: sources.rows,
    edits: renumbered.config,
    files: (copied) => [
      ...withTokenizer(
        copied.filter((file) => !isGeneration(file)),
        output,
      ),
      ...renumbered.generation(copied),
    ],
    summary: {
      tokens: sources.counts.tokens,
      padding: sources.counts.padding,
      own: output.members.map(({ from }, i) => ({ model: from.model.name, tokens: sources.counts.own[i] ?? 0 })),
    },
  };
}

function reportTrimmed(
  { origin }: OutputTokenizer,
  sources: RowSources,
  { at }: TokenizerConfig,
  report: Report,
): void {
  if (origin === undefined || origin.rows <= sources.rows) return;
  report.warn({
    code: "padding-trimmed",
    message: `${origin.rows - sources.rows} rows beyond the last token are padding and are left out: the output has ${sources.rows} rows`,
    at,
    model: origin.from.model.name,
    hint: "tokenizer: with pad_to_multiple_of adds padding",
  });
}

const GENERATION_FILE = "generation_config.json";

function isGeneration({ name }: SideFile): boolean {
  return name === GENERATION_FILE;
}

/** Ids in the donor's config.json and generation_config.json, as they are in the output's tokenizer. */
function donorIds(donor: PlanModel, { tokenizer, members, origin }: OutputTokenizer, report: Report) {
  const member = members.find(({ from }) => from === donor);
  const before = member?.tokenizer;
  const same = (copied: readonly SideFile[]) => copied.filter(isGeneration);
  if (before === undefined || member === origin) return { config: new Map() as ConfigEdits, generation: same };
  const edits = (value: Readonly<Record<string, unknown>>, file: string) =>
    tokenIdEdits(value, file, before, tokenizer, report);
  return {
    config: edits(donor.model.config, "config.json"),
    generation: (copied: readonly SideFile[]): SideFile[] => {
      const path = join(donor.model.dir, GENERATION_FILE);
      const value: unknown = existsSync(path) ? readJsonObject(path, GENERATION_FILE, report) : undefined;
      if (!isObject(value) || same(copied).length === 0) return same(copied);
      const changed = edits(value, GENERATION_FILE);
      if (changed.size === 0) return same(copied);
      return [{ name: GENERATION_FILE, text: `${JSON.stringify(applyEdits(value, changed), null, 2)}\n` }];
    },
  };
}
