import { type CommandModule, runCommandLine } from "./command.ts";
import { deviceRequest } from "./device.ts";
import { COMMANDS } from "./index.ts";
import { mergeOptions, PLANNING_OPTIONS, REPORT_OPTION } from "./merge-options.ts";
import { MOE_OPTIONS } from "./moe-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { RUN_OPTIONS, resumeOf } from "./run-options.ts";

// Models of several families never make one mixture, and copying takes no memory that could be traded.
const { allowCrimes: _, lmHead, seed, ...PLANNING } = PLANNING_OPTIONS;
const { memory: __, ...RUNNING } = RUN_OPTIONS;

const OPTIONS = {
  ...PLANNING,
  lmHead: {
    ...lmHead,
    doc:
      "Whether the output stores an output head of its own. auto: if the base does; tied: never, the head is the " +
      "embedding; materialize: always, for runtimes that do not know of ties in mixtures.",
  },
  ...MOE_OPTIONS,
  seed: { ...seed, doc: "Seed of random routers and of noise. The same seed gives the same bytes everywhere." },
  ...RUNNING,
  device: {
    ...RUNNING.device,
    doc:
      "Where to compute: cpu; cuda, or cuda:1 for the second GPU; or auto, a GPU for what sinter doctor --measure found to " +
      "be faster there. Same bytes with each, but for routers from hidden states: a GPU asked for by name multiplies for " +
      "them, which differs in the last places.",
  },
  report: REPORT_OPTION,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter moe",
  summary: COMMANDS.moe.summary,
  positionals: [
    { name: "CONFIG", doc: "The configuration, a YAML file as mergekit-moe reads it.", required: true },
    { name: "OUT", doc: "The folder to write the model to. It is made if it is not there.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter moe experts.yml ./mixture", doc: "A mixture of experts; the result is a model folder" },
    {
      command: "sinter moe experts.yml ./mixture --lm-head materialize",
      doc: "Store the output head of a tied base, too",
    },
    { command: "sinter moe experts.yml ./mixture --expert-layout packed", doc: "All experts of a layer in one tensor" },
  ],
  notes: [
    "The output is a Mixtral, DeepSeek MoE, Qwen MoE or Qwen3 MoE: which one, the models and architecture in the " +
      "configuration decide. Ties between embedding and head stay as the base has them.",
    "Either the whole model is in OUT when this ends with exit code 0, or none. What an interrupted run did is kept there " +
      "under temporary names: the same command goes on from it.",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(values: OptionValues<typeof OPTIONS>, [config = "", out = ""]: readonly string[]): Promise<number> {
  const { executeMixture } = await import("./execute-moe.ts");
  const { expertLayout, allowSame } = values;
  return await executeMixture({
    config,
    out,
    options: { ...mergeOptions({ ...values, allowCrimes: false }), expertLayout },
    allowSame,
    run: { force: values.force, resume: resumeOf(values.resume), nan: values.nan, sync: values.sync },
    engine: { threads: values.threads, target: values.cpuTarget, device: deviceRequest(values) },
    messages: { quiet: values.quiet, json: values.json, plan: false },
    report: values.report,
  });
}
