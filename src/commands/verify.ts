import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import {
  EVENTS_OPTION,
  INTERMEDIATE_OPTION,
  JSON_OPTION,
  PLANNING_OPTIONS,
  QUIET_OPTION,
  THREADS_OPTION,
} from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";

const OPTIONS = {
  recompute: {
    kind: "flag",
    name: "recompute",
    negatable: false,
    default: false,
    doc: "Carry the recipe out again, without writing anything, and compare: proof that the bytes are the recipe's.",
    group: "Checks",
  },
  sha256: {
    kind: "flag",
    name: "sha256",
    negatable: false,
    default: false,
    doc: "Print the SHA-256 of every weight file, which is what the Hugging Face Hub knows files by.",
    group: "Checks",
  },
  intermediateDir: {
    ...INTERMEDIATE_OPTION,
    doc: "With --recompute, for the output of sinter multi: where the merges are that it is made of.",
    group: "Checks",
  },
  cacheDir: PLANNING_OPTIONS.cacheDir,
  architectures: PLANNING_OPTIONS.architectures,
  threads: THREADS_OPTION,
  quiet: { ...QUIET_OPTION, doc: "Only what is wrong." },
  json: { ...JSON_OPTION, doc: "Print the findings as JSON on standard output." },
  events: EVENTS_OPTION,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter verify",
  summary: COMMANDS.verify.summary,
  positionals: [{ name: "FOLDER", doc: "A folder that Sinter wrote.", required: true }],
  options: OPTIONS,
  examples: [
    { command: "sinter verify ./merged", doc: "Are all bytes there, and those that were written?" },
    { command: "sinter verify ./merged --sha256", doc: "Are they the files that the Hub lists?" },
    { command: "sinter verify ./merged --recompute", doc: "Does the recipe give these bytes?" },
  ],
  notes: [
    "Checks headers and index, the checksum of every tensor, NaN and infinity, that the model is one of its family (ties, " +
      "rows of the embedding, ids of the tokenizer), and, where the models of the recipe are here, that the recipe gives " +
      "this plan and these files. Models are looked for where the recipe names them: start it where the merge was " +
      "started. Exit code 1 where something is wrong.",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(options: OptionValues<typeof OPTIONS>, [folder = ""]: readonly string[]): Promise<number> {
  const { executeVerify } = await import("./execute-verify.ts");
  return await executeVerify({ folder, ...options });
}
