import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { PLANNING_OPTIONS } from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { RUN_OPTIONS, runRequest } from "./run-options.ts";

const OPTIONS = {
  outShardSize: PLANNING_OPTIONS.outShardSize,
  cacheDir: PLANNING_OPTIONS.cacheDir,
  ...RUN_OPTIONS,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter fill",
  summary: COMMANDS.fill.summary,
  positionals: [
    { name: "WHOLE", doc: "The model that has everything, and config.json and all other files.", required: true },
    { name: "PART", doc: "The model whose tensors replace those of the same name.", required: true },
    { name: "OUT", doc: "The folder to write the model to.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter fill ./vision-language ./merged-language ./filled", doc: "A merged language model goes back" },
  ],
  notes: [
    "What stands before the part's names in the whole (language_model., model.language_model.) is found by itself. Every " +
      "tensor keeps its dtype.",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(
  values: OptionValues<typeof OPTIONS>,
  [base = "", part = "", out = ""]: readonly string[],
): Promise<number> {
  const request = { out, ...runRequest(values) };
  const { runFill } = await import("./programs/run-fill.ts");
  const { DEFAULT_OPTIONS } = await import("../plan/types.ts");
  const { outShardSize, cacheDir } = values;
  return await runFill({ base, part }, { ...DEFAULT_OPTIONS, outShardSize, cacheDir }, request);
}
