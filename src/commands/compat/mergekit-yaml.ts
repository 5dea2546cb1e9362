import { type CommandModule, runCommandLine } from "../command.ts";
import type { CommandSpec, OptionValues } from "../option.ts";
import { MERGEKIT_OPTIONS } from "./mergekit-options.ts";
import { mergekitRequest } from "./mergekit-request.ts";

export const spec: CommandSpec<typeof MERGEKIT_OPTIONS> = {
  name: "mergekit-yaml",
  summary:
    "Merge models as a configuration says: Sinter, with the command line of mergekit 0.1.4. Options that have no " +
    "meaning here are accepted, and explained below.",
  positionals: [
    { name: "CONFIG_FILE", doc: "The merge configuration, a YAML file.", required: true },
    { name: "OUT_PATH", doc: "The folder to write the model to. A model that is there is replaced.", required: true },
  ],
  options: MERGEKIT_OPTIONS,
  examples: [
    { command: "mergekit-yaml ties.yml ./merged", doc: "Merge; the result is a model folder" },
    { command: "mergekit-yaml ties.yml ./merged --out-shard-size 2B -j 8 -v", doc: "In files of 2 GB, on 8 threads" },
    { command: "sinter merge ties.yml ./merged", doc: "The same in Sinter's own words, with more choices" },
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(
  values: OptionValues<typeof MERGEKIT_OPTIONS>,
  [config = "", out = ""]: readonly string[],
): Promise<number> {
  const request = mergekitRequest(values);
  const { executeMerge } = await import("../execute-merge.ts");
  return await executeMerge({ config, out, ...request });
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
