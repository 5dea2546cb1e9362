import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { mergeOptions, PLANNING_OPTIONS } from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { BAKLLAMA_OPTIONS } from "./programs/bakllama.ts";
import { RUN_OPTIONS, runRequest } from "./run-options.ts";

const OPTIONS = { ...BAKLLAMA_OPTIONS, ...PLANNING_OPTIONS, ...RUN_OPTIONS } as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter bakllama",
  summary: COMMANDS.bakllama.summary,
  positionals: [
    { name: "CONFIG", doc: "A YAML file with layer_slices, embedding_source, lm_head_source.", required: true },
    { name: "OUT", doc: "The folder to write the model to.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter bakllama examples/programs/bakllama.yml ./stacked", doc: "Stack; the result is a model folder" },
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(values: OptionValues<typeof OPTIONS>, [config = "", out = ""]: readonly string[]): Promise<number> {
  const request = { out, options: mergeOptions(values), ...runRequest(values) };
  const { runBakllama } = await import("./programs/run-bakllama.ts");
  return await runBakllama(config, values.fp16, request);
}
