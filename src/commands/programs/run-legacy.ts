import { legacyText } from "../../recipes/legacy.ts";
import { executeMerge, type MergeRequest } from "../execute-merge.ts";
import type { OptionValues } from "../option.ts";
import { print } from "../terminal.ts";
import { type LEGACY_OPTIONS, legacyMerge } from "./legacy.ts";

/** Merges what the options describe. @returns the exit code. */
export async function runLegacy(
  values: OptionValues<typeof LEGACY_OPTIONS>,
  request: Omit<MergeRequest, "config">,
): Promise<number> {
  const text = legacyText(legacyMerge(values));
  if (values.printYaml) await print(text);
  return await executeMerge({ ...request, config: { text, name: "the command line's configuration" } });
}
