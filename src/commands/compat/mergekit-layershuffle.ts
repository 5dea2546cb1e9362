import { type CommandModule, runCommandLine } from "../command.ts";
import type { CommandSpec, Options, OptionValues } from "../option.ts";
import { SHUFFLE_OPTIONS } from "../programs/shuffle.ts";
import { MERGEKIT_OPTIONS } from "./mergekit-options.ts";
import { mergekitRequest } from "./mergekit-request.ts";

const OPTIONS = { ...SHUFFLE_OPTIONS, ...MERGEKIT_OPTIONS } as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "mergekit-layershuffle",
  summary:
    "Stack layers that are drawn at random from several models: Sinter, with the command line of mergekit 0.1.4.",
  positionals: [
    { name: "OUT_PATH", doc: "The folder to write the model to. A model that is there is replaced.", required: true },
  ],
  options: OPTIONS,
  examples: [
    {
      command: "mergekit-layershuffle ./mixed -m ./chat -w 0.7 -m ./code -w 0.3 --random-seed 5",
      doc: "Draw and merge",
    },
    { command: "mergekit-layershuffle ./mixed -m ./chat -m ./code --print-yaml --dry-run", doc: "Only draw" },
  ],
  notes: ["The choices depend on --random-seed (0 unless given) and are the same everywhere. Python's are others."],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(values: OptionValues<typeof OPTIONS>, [out = ""]: readonly string[]): Promise<number> {
  const request = mergekitRequest(values);
  const { runShuffle } = await import("../programs/run-shuffle.ts");
  return await runShuffle(values, { out, ...request });
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
