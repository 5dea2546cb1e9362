import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { mergeOptions, PLANNING_OPTIONS } from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { MULTI_OPTIONS } from "./programs/multi.ts";
import { RUN_OPTIONS, runRequest } from "./run-options.ts";

const OPTIONS = {
  ...MULTI_OPTIONS,
  dryRun: {
    kind: "flag",
    name: "dry-run",
    negatable: false,
    default: false,
    doc: "Print the plan of every merge, in their order, and write nothing.",
    group: "Several merges",
  },
  ...PLANNING_OPTIONS,
  ...RUN_OPTIONS,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter multi",
  summary: COMMANDS.multi.summary,
  positionals: [
    { name: "CONFIG", doc: "Merge configurations, divided by ---; all but one have a name.", required: true },
  ],
  options: OPTIONS,
  examples: [
    {
      command: "sinter multi examples/programs/multi.yml -I ./work --out-path ./merged",
      doc: "All merges, in their order",
    },
    { command: "sinter multi graph.yml -I ./work --out-path ./merged --dry-run", doc: "See first what that will do" },
  ],
  notes: [
    "A merge names another as it names a model. All are planned before the first one starts. One that was finished " +
      "earlier is taken as it is where its recipe and its inputs are the same, and else done again. --json prints one " +
      "object for each merge.",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(values: OptionValues<typeof OPTIONS>, [config = ""]: readonly string[]): Promise<number> {
  const { run, ...how } = runRequest(values);
  // Of several merges, some are finished or not begun: --resume asks for no more of each than the default does.
  const resume = run.resume === "only" ? true : run.resume;
  const options = mergeOptions(values);
  const request = { config, values, dryRun: values.dryRun, options, ...how, run: { ...run, resume } };
  const { runMulti } = await import("./programs/run-multi.ts");
  return await runMulti(request);
}
