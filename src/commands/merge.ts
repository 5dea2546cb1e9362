import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { LORA_CACHE_OPTIONS, loraCacheOf } from "./lora-cache-options.ts";
import { mergeOptions, PLANNING_OPTIONS, RAW_OPTIONS, REPORT_OPTION, rawChoice } from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { RUN_OPTIONS, runRequest } from "./run-options.ts";

const OPTIONS = {
  ...PLANNING_OPTIONS,
  ...LORA_CACHE_OPTIONS,
  ...RAW_OPTIONS,
  ...RUN_OPTIONS,
  check: {
    kind: "flag",
    name: "check",
    negatable: false,
    default: false,
    doc:
      "Then run a short text through the result and its parents and print their perplexities. Exit code 3 where the " +
      "result looks broken. For llama, mistral, qwen2 and qwen3 models with a tokenizer.",
    group: "Checks",
  },
  report: REPORT_OPTION,
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
    { command: "sinter merge --raw unets.yml ./merged -i", doc: "Diffusion checkpoints: the tensors that all have" },
    { command: "sinter merge dare.yml ./merged --seed 7 --json -q", doc: "In a script" },
    { command: "sinter merge ties.yml ./merged -q --events -", doc: "For a program that shows progress of its own" },
  ],
  notes: [
    "Either the whole model is in OUT when this ends with exit code 0, or none. What an interrupted run did is kept there " +
      "under temporary names: the same command goes on from it.",
    "Models named by a hub id (org/name, org/name@revision) that are not in the Hugging Face cache are downloaded first. " +
      "HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE mean what they mean to Hugging Face's own programs.",
    "Exit code 0: done; 1: refused or failed; 2: a mistake on the command line; 3: --check found the result broken; 129, " +
      "130, 143: stopped by a signal.",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(options: OptionValues<typeof OPTIONS>, [config = "", out = ""]: readonly string[]): Promise<number> {
  const request = { config, out, options: mergeOptions(options), raw: rawChoice(options), ...runRequest(options) };
  const checkWith = options.check ? request.options : undefined;
  const { executeMerge } = await import("./execute-merge.ts");
  return await executeMerge({ ...request, checkWith, loraCache: loraCacheOf(options), report: options.report });
}
