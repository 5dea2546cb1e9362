import { type CommandModule, runCommandLine } from "../command.ts";
import type { CommandSpec, Options, OptionValues } from "../option.ts";
import { MULTI_OPTIONS } from "../programs/multi.ts";
import { MERGEKIT_OPTIONS } from "./mergekit-options.ts";
import { mergekitRequest } from "./mergekit-request.ts";

const OPTIONS = { ...MULTI_OPTIONS, ...MERGEKIT_OPTIONS } as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "mergekit-multi",
  summary:
    "Carry out several merges of one file, of which some are made of others: Sinter, with the command line of mergekit " +
    "0.1.4.",
  positionals: [
    { name: "CONFIG_FILE", doc: "Merge configurations, divided by ---; all but one have a name.", required: true },
  ],
  options: OPTIONS,
  examples: [{ command: "mergekit-multi graph.yml -I ./work --out-path ./merged", doc: "All merges, in their order" }],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(values: OptionValues<typeof OPTIONS>, [config = ""]: readonly string[]): Promise<number> {
  const request = mergekitRequest(values);
  const { runMulti } = await import("../programs/run-multi.ts");
  return await runMulti({ config, values, dryRun: false, ...request });
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
