import { DEFAULT_OPTIONS } from "../plan/types.ts";
import { type CommandModule, runCommandLine } from "./command.ts";
import { refuseDevice } from "./device.ts";
import {
  DEVICE_OPTION,
  EVENTS_OPTION,
  FORCE_OPTION,
  JSON_OPTION,
  PLANNING_OPTIONS,
  QUIET_OPTION,
  REPORT_OPTION,
  THREADS_OPTION,
} from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { TRANSPLANT_OPTIONS, transplantOptions } from "./transplant-options.ts";

const { outShardSize, writeModelCard, safeSerialization, seed, cacheDir, architectures } = PLANNING_OPTIONS;

const OPTIONS = {
  force: FORCE_OPTION,
  ...TRANSPLANT_OPTIONS,
  outShardSize,
  writeModelCard: { ...writeModelCard, doc: "Write README.md, a model card that names both models and the method." },
  safeSerialization,
  seed: {
    ...seed,
    doc: "Seed of random rows and noise. The same seed gives the same numbers, whatever the batches and threads.",
  },
  threads: THREADS_OPTION,
  device: DEVICE_OPTION,
  cacheDir,
  architectures,
  report: REPORT_OPTION,
  quiet: { ...QUIET_OPTION, doc: "No progress and no summary: warnings and errors only." },
  json: { ...JSON_OPTION, doc: "Print the summary as JSON on standard output." },
  events: EVENTS_OPTION,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter tokens transplant",
  summary:
    "Write MODEL with the tokenizer of DONOR. Rows of tokens that both have are kept, rows of the others approximated.",
  positionals: [
    { name: "MODEL", doc: "The model whose weights are kept: a folder or a hub id.", required: true },
    { name: "DONOR", doc: "The model whose tokenizer the result has.", required: true },
    { name: "OUT", doc: "The folder to write the model to. It is made if it is not there.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter tokens transplant ./mistral ./llama ./out", doc: "With matching pursuit over 64 shared tokens" },
    { command: "sinter tokens transplant ./a ./b ./out -a subword -s weighted_mean", doc: "From a token's own pieces" },
    { command: "sinter tokens transplant ./a ./b ./out -k 128 --magikarp", doc: "Without tokens that look untrained" },
  ],
  notes: ["docs/transplant.md explains the methods and how tokens are matched."],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(
  values: OptionValues<typeof OPTIONS>,
  [model = "", donor = "", out = ""]: readonly string[],
): Promise<number> {
  refuseDevice(values.device);
  const { executeTransplant } = await import("./execute-transplant.ts");
  return await executeTransplant({
    model,
    donor,
    out,
    transplant: transplantOptions(values, values.seed),
    options: {
      ...DEFAULT_OPTIONS,
      outShardSize: values.outShardSize,
      writeModelCard: values.writeModelCard,
      safeSerialization: values.safeSerialization,
      cacheDir: values.cacheDir,
      architectures: values.architectures,
    },
    run: { force: values.force, resume: true, nan: "warn", sync: true },
    engine: { threads: values.threads, target: "auto" },
    messages: { quiet: values.quiet, json: values.json, plan: false },
    report: values.report,
  });
}
