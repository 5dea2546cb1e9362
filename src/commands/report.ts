import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { EVENTS_OPTION, INTERMEDIATE_OPTION, PLANNING_OPTIONS, QUIET_OPTION, THREADS_OPTION } from "./merge-options.ts";
import { type CommandSpec, type Options, type OptionValues, text } from "./option.ts";

const OPTIONS = {
  html: {
    kind: "value",
    name: "html",
    metavar: "FILE",
    read: text,
    default: undefined,
    shownDefault: "FOLDER-report.html, beside the folder",
    doc: "Where to write the page.",
    group: "Output",
  },
  intermediateDir: INTERMEDIATE_OPTION,
  cacheDir: PLANNING_OPTIONS.cacheDir,
  architectures: PLANNING_OPTIONS.architectures,
  threads: THREADS_OPTION,
  quiet: QUIET_OPTION,
  events: EVENTS_OPTION,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter report",
  summary: COMMANDS.report.summary,
  positionals: [
    {
      name: "FOLDER",
      doc: "A folder that sinter merge, sinter moe or sinter tokens transplant wrote.",
      required: true,
    },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter report ./merged", doc: "Write ./merged-report.html" },
    {
      command: "sinter merge ties.yml ./merged --report ties.html",
      doc: "Merge, and write it at once, speed included",
    },
  ],
  notes: [
    "Reads the output and all of its inputs once. The page needs nothing but itself, and no network. Models are " +
      "looked for where the recipe names them: start it where the merge was started.",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(options: OptionValues<typeof OPTIONS>, [folder = ""]: readonly string[]): Promise<number> {
  const { executeReport } = await import("./execute-report.ts");
  return await executeReport({ ...options, folder });
}
