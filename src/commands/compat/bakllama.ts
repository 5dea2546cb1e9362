import { DEFAULT_OPTIONS } from "../../plan/types.ts";
import { type CommandModule, runCommandLine } from "../command.ts";
import type { CommandSpec, Options, OptionValues } from "../option.ts";
import { BAKLLAMA_OPTIONS } from "../programs/bakllama.ts";
import { MERGEKIT_OPTIONS } from "./mergekit-options.ts";

const OPTIONS = {
  cloneTensors: MERGEKIT_OPTIONS.cloneTensors,
  ...BAKLLAMA_OPTIONS,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "bakllama",
  summary: "Stack layers as an old configuration (layer_slices) says: Sinter, with the command line of mergekit 0.1.4.",
  positionals: [
    { name: "CONFIG_PATH", doc: "A YAML file with layer_slices, embedding_source, lm_head_source.", required: true },
    { name: "OUT_PATH", doc: "The folder to write the model to. A model that is there is replaced.", required: true },
  ],
  options: OPTIONS,
  examples: [{ command: "bakllama stack.yml ./stacked --fp16", doc: "Stack, and write float16" }],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(
  { fp16 }: OptionValues<typeof OPTIONS>,
  [config = "", out = ""]: readonly string[],
): Promise<number> {
  const { runBakllama } = await import("../programs/run-bakllama.ts");
  return await runBakllama(config, fp16, {
    out,
    options: DEFAULT_OPTIONS,
    run: { force: true, resume: true, nan: "warn", sync: true },
    engine: { threads: 0, target: "auto" },
    messages: { quiet: false, json: false, plan: false },
  });
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
