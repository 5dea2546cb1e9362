import { type CommandModule, runCommandLine } from "../command.ts";
import { EXTRACTION_OPTIONS } from "../lora-options.ts";
import { type CommandSpec, type Options, type OptionValues, text } from "../option.ts";
import { UsageError } from "../parse.ts";
import { SOLVER_OPTION, solverDevice } from "../solver.ts";
import { MERGEKIT_OPTIONS } from "./mergekit-options.ts";
import { mergekitRequest } from "./mergekit-request.ts";

function named<const N extends string>(name: N, doc: string) {
  return { kind: "value", name, metavar: "PATH", read: text, default: undefined, doc, group: "Models" } as const;
}

const OPTIONS = {
  model: named("model", "The fine-tuned model. Required."),
  baseModel: named("base-model", "The model that was fine-tuned. Required."),
  outPath: named("out-path", "The folder to write the adapter to. An adapter that is there is replaced. Required."),
  ...EXTRACTION_OPTIONS,
  ...MERGEKIT_OPTIONS,
  cuda: { ...MERGEKIT_OPTIONS.cuda, doc: "Find singular vectors with NVIDIA's cuSOLVER, on device 0." },
  device: { ...MERGEKIT_OPTIONS.device, doc: `cpu, auto (cpu), or cuda and cuda:N: ${SOLVER_OPTION.doc}` },
  gpuRich: { ...MERGEKIT_OPTIONS.gpuRich, doc: "The same as --cuda." },
  multiGpu: { ...MERGEKIT_OPTIONS.multiGpu, doc: "The same as --cuda: one device decomposes." },
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "mergekit-extract-lora",
  summary:
    "Make a LoRA adapter of what a fine-tune changed in its base: Sinter, with the command line of mergekit 0.1.4. " +
    "Options that have no meaning here are accepted, and explained below.",
  positionals: [],
  options: OPTIONS,
  examples: [
    {
      command: "mergekit-extract-lora --model ./tuned --base-model ./base --out-path ./adapter --max-rank 32",
      doc: "An adapter of rank 32",
    },
    { command: "sinter lora extract ./tuned ./base ./adapter --rank 32", doc: "The same in Sinter's own words" },
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(values: OptionValues<typeof OPTIONS>): Promise<number> {
  const { model, baseModel, outPath } = values;
  if (model === undefined || baseModel === undefined || outPath === undefined) throw missing(values);
  const device = solverDevice(values.device, values.cuda || values.gpuRich || values.multiGpu);
  const running = mergekitRequest({ ...values, cuda: false, gpuRich: false, multiGpu: false, device: "cpu" });
  const { executeExtract } = await import("../execute-extract.ts");
  const request = {
    model,
    baseModel,
    out: outPath,
    options: {
      maxRank: values.maxRank,
      energy: undefined,
      svEpsilon: values.svEpsilon,
      distributeScale: values.distributeScale,
      embedLora: values.embedLora,
      saveModules: values.saveModules,
      exclude: values.exclude,
      include: values.include,
      skipUndecomposable: values.skipUndecomposable,
      biases: "difference",
      dtype: undefined,
      seed: values.randomSeed,
    },
    cacheDir: values.transformersCache,
    architectures: undefined,
    run: running.run,
    safeSerialization: values.safeSerialization,
    writeModelCard: values.writeModelCard,
    command: ["mergekit-extract-lora", ...process.argv.slice(2)].join(" "),
  } as const;
  const { quiet } = values;
  const messages = { quiet, json: false, verbose: values.verbosity > 0 };
  return await executeExtract(request, running.engine, messages, { loraCache: running.loraCache, device });
}

function missing(values: OptionValues<typeof OPTIONS>): UsageError {
  const options = [
    ["--model", values.model],
    ["--base-model", values.baseModel],
    ["--out-path", values.outPath],
  ];
  const names = options.filter(([, value]) => value === undefined).map(([name]) => name);
  return new UsageError({ code: "missing-option", message: `Missing option ${names.join(", ")}` });
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
