import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { JSON_OPTION, PLANNING_OPTIONS } from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { print } from "./terminal.ts";

const OPTIONS = {
  architectures: PLANNING_OPTIONS.architectures,
  cacheDir: PLANNING_OPTIONS.cacheDir,
  json: JSON_OPTION,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter inspect",
  summary: COMMANDS.inspect.summary,
  positionals: [
    { name: "MODEL", doc: "A model folder, or a hub id that is in the Hugging Face cache.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter inspect ./model", doc: "Modules, layers, ties, dtypes, files, and what is unknown" },
    { command: "sinter inspect org/name@main --json", doc: "For a program" },
    { command: "sinter inspect ./model --architectures mine.json", doc: "As a definition of your own describes it" },
  ],
  notes: ["Reads headers only, no tensor. Exit code 1 if the model lacks weights that its family has."],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(options: OptionValues<typeof OPTIONS>, [name = ""]: readonly string[]): Promise<number> {
  const { openNamedModel, understandModel } = await import("./open-model.ts");
  const { inspect } = await import("../architecture/inspect.ts");
  const { model, architecture } = understandModel(openNamedModel(name, options.cacheDir), options.architectures);
  const inspection = inspect(model, architecture);
  const { inspectionText } = await import("./inspection-text.ts");
  await print(options.json ? `${JSON.stringify(inspection, undefined, 2)}\n` : inspectionText(inspection));
  return inspection.missing.length > 0 ? 1 : 0;
}
