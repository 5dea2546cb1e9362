import { type CommandModule, runCommandLine } from "./command.ts";
import { refuseDevice } from "./device.ts";
import { COMMANDS } from "./index.ts";
import { LORA_CACHE_OPTIONS, loraCacheOf } from "./lora-cache-options.ts";
import {
  DEVICE_OPTION,
  FORCE_OPTION,
  JSON_OPTION,
  MEMORY_OPTION,
  mergeOptions,
  PLANNING_OPTIONS,
  THREADS_OPTION,
} from "./merge-options.ts";
import { type CommandSpec, choice, type Options, type OptionValues } from "./option.ts";

/** How a plan is carried out: options of every command that writes a model. */
export const RUN_OPTIONS = {
  nan: {
    kind: "value",
    name: "nan",
    metavar: "warn|error|ignore",
    read: choice(["warn", "error", "ignore"]),
    default: "warn",
    shownDefault: "warn",
    doc: "What to do about a NaN or an infinity in an input: name the tensors at the end, stop at once, or nothing.",
    group: "Checks",
  },
  check: {
    kind: "flag",
    name: "check",
    negatable: false,
    default: false,
    doc:
      "Then run a short text through the result and its parents and print their perplexities. Exit code 3 where the " +
      "result looks broken. For llama, mistral, qwen2 and qwen3 models with a tokenizer.json.",
    group: "Checks",
  },
  threads: THREADS_OPTION,
  cpuTarget: {
    kind: "value",
    name: "cpu-target",
    metavar: "LEVEL",
    read: choice(["auto", "x86-64-v2", "x86-64-v3", "x86-64-v4", "arm64"]),
    default: "auto",
    shownDefault: "auto",
    doc: "Instruction set: auto (the best this CPU has), x86-64-v2, x86-64-v3, x86-64-v4 or arm64. Same bytes with each.",
    group: "Computation",
  },
  memory: MEMORY_OPTION,
  device: DEVICE_OPTION,
  quiet: {
    kind: "flag",
    name: "quiet",
    short: "q",
    negatable: false,
    default: false,
    doc: "No progress and no summary: warnings and errors only.",
    group: "Messages",
  },
  json: { ...JSON_OPTION, doc: "Print the summary as JSON on standard output." },
  sync: {
    kind: "flag",
    name: "sync",
    negatable: true,
    default: true,
    doc: "Wait for the disk.",
    group: "Output",
    hidden: true,
  },
} as const satisfies Options;

const OPTIONS = {
  force: FORCE_OPTION,
  ...PLANNING_OPTIONS,
  ...LORA_CACHE_OPTIONS,
  ...RUN_OPTIONS,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter merge",
  summary: COMMANDS.merge.summary,
  positionals: [
    { name: "CONFIG", doc: "The merge configuration, a YAML file as mergekit reads it.", required: true },
    { name: "OUT", doc: "The folder to write the model to. It is made if it is not there.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter merge ties.yml ./merged", doc: "Merge; the result is a model folder" },
    { command: "sinter plan ties.yml ./merged", doc: "See first what that will do" },
    { command: "sinter merge ties.yml ./merged --force --out-shard-size 2B", doc: "Replace it, in files of 2 GB" },
    { command: "sinter merge ties.yml ./merged --check", doc: "Merge, and see that the result still speaks" },
    { command: "sinter merge dare.yml ./merged --seed 7 --json -q", doc: "In a script" },
  ],
  notes: [
    "Either the whole model is in OUT when this ends with exit code 0, or nothing of it.",
    "Models named by a hub id (org/name, org/name@revision) that are not in the Hugging Face cache are downloaded first. " +
      "HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE mean what they mean to Hugging Face's own programs.",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(options: OptionValues<typeof OPTIONS>, [config = "", out = ""]: readonly string[]): Promise<number> {
  refuseDevice(options.device);
  const { executeMerge } = await import("./execute-merge.ts");
  return await executeMerge({
    config,
    out,
    options: mergeOptions(options),
    loraCache: loraCacheOf(options),
    run: { force: options.force, nan: options.nan, sync: options.sync },
    engine: { threads: options.threads, target: options.cpuTarget, memory: options.memory },
    messages: { quiet: options.quiet, json: options.json, plan: false },
    check: options.check,
  });
}
