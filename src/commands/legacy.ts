import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { mergeOptions, PLANNING_OPTIONS } from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { LEGACY_OPTIONS } from "./programs/legacy.ts";
import { RUN_OPTIONS, runRequest } from "./run-options.ts";

const OPTIONS = { ...LEGACY_OPTIONS, ...PLANNING_OPTIONS, ...RUN_OPTIONS } as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter legacy",
  summary: COMMANDS.legacy.summary,
  positionals: [{ name: "OUT", doc: "The folder to write the model to.", required: true }],
  options: OPTIONS,
  examples: [
    {
      command: "sinter legacy ./merged --merge ./chat --merge ./code --weight 0.6 --weight 0.4 --base-model ./base",
      doc: "TIES of two fine-tunes of a base",
    },
  ],
  notes: ["The same as mergekit-legacy, with Sinter's own options."],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(values: OptionValues<typeof OPTIONS>, [out = ""]: readonly string[]): Promise<number> {
  const request = { out, options: mergeOptions(values), ...runRequest(values) };
  const { runLegacy } = await import("./programs/run-legacy.ts");
  return await runLegacy(values, request);
}
