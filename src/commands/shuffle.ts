import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { mergeOptions, PLANNING_OPTIONS } from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { SHUFFLE_OPTIONS } from "./programs/shuffle.ts";
import { RUN_OPTIONS, runRequest } from "./run-options.ts";

const OPTIONS = { ...SHUFFLE_OPTIONS, ...PLANNING_OPTIONS, ...RUN_OPTIONS } as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter shuffle",
  summary: COMMANDS.shuffle.summary,
  positionals: [{ name: "OUT", doc: "The folder to write the model to.", required: true }],
  options: OPTIONS,
  examples: [
    { command: "sinter shuffle ./mixed -m ./chat -w 0.7 -m ./code -w 0.3 --seed 5", doc: "Draw and merge" },
    { command: "sinter shuffle ./mixed -m ./chat -m ./code --print-yaml --dry-run", doc: "Only draw" },
  ],
  notes: ["The choices depend on --seed (0 unless given) and are the same everywhere."],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(values: OptionValues<typeof OPTIONS>, [out = ""]: readonly string[]): Promise<number> {
  const request = { out, options: mergeOptions(values), ...runRequest(values) };
  const { runShuffle } = await import("./programs/run-shuffle.ts");
  return await runShuffle(values, request);
}
