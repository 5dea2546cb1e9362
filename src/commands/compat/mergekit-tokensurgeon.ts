import { type CommandModule, runCommandLine } from "../command.ts";
import { type CommandSpec, type Options, type OptionValues, offering, text } from "../option.ts";
import { TRANSPLANT_OPTIONS, transplantOptions } from "../transplant-options.ts";
import { MERGEKIT_OPTIONS } from "./mergekit-options.ts";
import { mergekitRequest } from "./mergekit-request.ts";
import { refuseGpu } from "./refuse-gpu.ts";

const NO_GPU = "An error: rows are computed on the CPU.";

const OPTIONS = {
  ...TRANSPLANT_OPTIONS,
  ...MERGEKIT_OPTIONS,
  cuda: { ...MERGEKIT_OPTIONS.cuda, doc: NO_GPU },
  multiGpu: { ...MERGEKIT_OPTIONS.multiGpu, doc: NO_GPU },
  gpuRich: { ...MERGEKIT_OPTIONS.gpuRich, doc: NO_GPU },
  device: {
    ...MERGEKIT_OPTIONS.device,
    read: offering(["auto", "cpu"], text),
    doc: "cpu, or auto, which is the CPU. A GPU is an error: rows are computed on the CPU.",
  },
  lowCpuMemory: { ...MERGEKIT_OPTIONS.lowCpuMemory, doc: "No effect: it is about copies to a GPU." },
  readToGpu: { ...MERGEKIT_OPTIONS.readToGpu, doc: "No effect: no GPU computes." },
  copyTokenizer: { ...MERGEKIT_OPTIONS.copyTokenizer, doc: "No effect: the donor's tokenizer is always written." },
  writeModelCard: { ...MERGEKIT_OPTIONS.writeModelCard, doc: "No effect, as in mergekit: no card is written." },
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "mergekit-tokensurgeon",
  summary:
    "Write a model with another model's tokenizer: Sinter, with the command line of mergekit 0.1.4. Options that have " +
    "no meaning here are accepted, and explained below.",
  positionals: [
    { name: "MODEL", doc: "The model whose weights are kept.", required: true },
    { name: "DONOR", doc: "The model whose tokenizer the result has.", required: true },
    { name: "OUT_PATH", doc: "The folder to write the model to. A model that is there is replaced.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "mergekit-tokensurgeon ./mistral ./llama ./out --k 64", doc: "With matching pursuit" },
    { command: "mergekit-tokensurgeon ./a ./b ./out -a common_interpolation -c -w barycentric", doc: "By neighbours" },
    { command: "sinter tokens transplant ./mistral ./llama ./out", doc: "The same in Sinter's own words" },
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(
  values: OptionValues<typeof OPTIONS>,
  [model = "", donor = "", out = ""]: readonly string[],
): Promise<number> {
  refuseGpu(values);
  const { options, ...request } = mergekitRequest(values);
  const { executeTransplant } = await import("../execute-transplant.ts");
  return await executeTransplant({
    model,
    donor,
    out,
    transplant: transplantOptions(values, values.randomSeed),
    options: { ...options, writeModelCard: false },
    ...request,
  });
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
