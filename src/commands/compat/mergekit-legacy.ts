import { type CommandModule, runCommandLine } from "../command.ts";
import type { CommandSpec, Options, OptionValues } from "../option.ts";
import { LEGACY_OPTIONS } from "../programs/legacy.ts";
import { MERGEKIT_OPTIONS } from "./mergekit-options.ts";
import { mergekitRequest } from "./mergekit-request.ts";

const OPTIONS = { ...LEGACY_OPTIONS, ...MERGEKIT_OPTIONS } as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "mergekit-legacy",
  summary: "Merge models without a configuration file: Sinter, with the command line of mergekit 0.1.4.",
  positionals: [
    { name: "OUT_PATH", doc: "The folder to write the model to. A model that is there is replaced.", required: true },
  ],
  options: OPTIONS,
  examples: [
    {
      command: "mergekit-legacy ./merged --merge ./chat --merge ./code --weight 0.6 --weight 0.4 --base-model ./base",
      doc: "TIES of two fine-tunes of a base",
    },
    {
      command: "mergekit-legacy ./merged --method slerp --weight 0.3 --merge ./a --merge ./b --base-model ./a",
      doc: "Slerp",
    },
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(values: OptionValues<typeof OPTIONS>, [out = ""]: readonly string[]): Promise<number> {
  const request = mergekitRequest(values);
  const { runLegacy } = await import("../programs/run-legacy.ts");
  return await runLegacy(values, { out, ...request });
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
