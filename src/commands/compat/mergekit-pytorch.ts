import { type CommandModule, runCommandLine } from "../command.ts";
import { RAW_OPTIONS, tensorChoice } from "../merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "../option.ts";
import { MERGEKIT_OPTIONS } from "./mergekit-options.ts";
import { mergekitRequest } from "./mergekit-request.ts";

const OPTIONS = {
  tensorIntersection: { ...RAW_OPTIONS.tensorIntersection, doc: "Leave out tensors that not all models have." },
  tensorUnion: { ...RAW_OPTIONS.tensorUnion, doc: "Merge tensors that not all models have of those that have them." },
  ...MERGEKIT_OPTIONS,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "mergekit-pytorch",
  summary:
    "Merge files of tensors by their names: Sinter, with the command line of mergekit 0.1.4. Models are safetensors or " +
    "PyTorch files, or folders of them; no config.json is needed.",
  positionals: [
    { name: "CONFIG_PATH", doc: "A merge configuration with models: and without slices:.", required: true },
    { name: "OUT_PATH", doc: "The folder to write the tensors to. What it holds is replaced.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "mergekit-pytorch unets.yml ./merged", doc: "Merge; the result is model.safetensors in the folder" },
    { command: "mergekit-pytorch unets.yml ./merged -i", doc: "Only the tensors that all files have" },
    { command: "sinter merge --raw unets.yml ./merged", doc: "The same in Sinter's own words" },
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(values: OptionValues<typeof OPTIONS>, [config = "", out = ""]: readonly string[]): Promise<number> {
  const request = mergekitRequest(values);
  const { executeMerge } = await import("../execute-merge.ts");
  return await executeMerge({ config, out, raw: tensorChoice(values), ...request });
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
