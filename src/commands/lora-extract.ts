import { DEFAULT_OPTIONS } from "../plan/types.ts";
import { type CommandModule, runCommandLine } from "./command.ts";
import { EXTRACTION_OPTIONS, RANK_OPTIONS } from "./lora-options.ts";
import { PLANNING_OPTIONS } from "./merge-options.ts";
import { type CommandSpec, choice, type Options, type OptionValues } from "./option.ts";
import { RUN_OPTIONS, runRequest } from "./run-options.ts";
import { SOLVER_OPTION, solverDevice } from "./solver.ts";

// Decompositions are not gone on with, take no memory that could be traded, and run on one device.
const {
  resume: _,
  memory: __,
  multiGpu: ___,
  memoryGpu: ____,
  lowCpuMemory: _____,
  directStorage: ______,
  ...RUNNING
} = RUN_OPTIONS;

const OPTIONS = {
  rank: {
    ...RANK_OPTIONS.rank,
    shownDefault: "--max-rank",
    doc: "Singular values that are kept of each module; auto: as many as keep the share that --energy says.",
    group: "Extraction",
  },
  energy: {
    ...RANK_OPTIONS.energy,
    doc: "With --rank auto: the share of a module's sum of squares that its factors keep, within --max-rank.",
    group: "Extraction",
  },
  ...EXTRACTION_OPTIONS,
  biases: {
    kind: "value",
    name: "biases",
    metavar: "whole|difference",
    read: choice(["whole", "difference"]),
    default: "whole",
    shownDefault: "whole",
    doc: "How trained biases are written: as PEFT loads them, or as differences (lora_B.bias), as mergekit writes them.",
    group: "Extraction",
  },
  dtype: {
    kind: "value",
    name: "dtype",
    metavar: "DTYPE",
    read: choice(["float32", "float16", "bfloat16"]),
    default: undefined,
    shownDefault: "the model's",
    doc: "What the factors are stored as.",
    group: "Output",
  },
  safeSerialization: PLANNING_OPTIONS.safeSerialization,
  writeModelCard: PLANNING_OPTIONS.writeModelCard,
  seed: { ...PLANNING_OPTIONS.seed, doc: "Seed of the random vectors that the decomposition starts from." },
  cacheDir: PLANNING_OPTIONS.cacheDir,
  architectures: PLANNING_OPTIONS.architectures,
  ...RUNNING,
  force: { ...RUNNING.force, doc: "Replace what the output folder already holds." },
  threads: { ...RUNNING.threads, doc: "Worker threads." },
  cpuTarget: {
    ...RUNNING.cpuTarget,
    doc: "Instruction set: auto (the best this CPU has), x86-64-v2, x86-64-v3, x86-64-v4 or arm64.",
  },
  device: SOLVER_OPTION,
  dryRun: {
    kind: "flag",
    name: "dry-run",
    negatable: false,
    default: false,
    doc: "Say which modules, ranks and sizes it comes to at most, and compute and write nothing.",
    group: "Messages",
  },
  each: {
    kind: "flag",
    name: "each",
    negatable: false,
    default: false,
    doc: "A line for each module in the summary.",
    group: "Messages",
  },
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter lora extract",
  summary: "Make a LoRA adapter, in PEFT's layout, of what a fine-tune changed in its base.",
  positionals: [
    { name: "MODEL", doc: "The fine-tuned model.", required: true },
    { name: "BASE_MODEL", doc: "The model that was fine-tuned.", required: true },
    { name: "OUT", doc: "The folder to write the adapter to.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter lora extract ./tuned ./base ./adapter --rank 32", doc: "An adapter of rank 32" },
    {
      command: "sinter lora extract ./tuned ./base ./adapter --rank auto --energy 0.95",
      doc: "Ranks as each module needs",
    },
    { command: "sinter lora extract ./tuned ./base ./adapter -r 16 -i 'self_attn'", doc: "Of the attention alone" },
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

const DTYPES = { float32: "F32", float16: "F16", bfloat16: "BF16" } as const;

async function run(
  values: OptionValues<typeof OPTIONS>,
  [model = "", baseModel = "", out = ""]: readonly string[],
): Promise<number> {
  const { executeExtract } = await import("./execute-extract.ts");
  const running = runRequest({
    ...values,
    resume: false,
    memory: 0,
    device: "cpu",
    multiGpu: false,
    memoryGpu: undefined,
    lowCpuMemory: false,
    directStorage: undefined,
  });
  const fixed = typeof values.rank === "number" ? values.rank : undefined;
  const request = {
    model,
    baseModel,
    out,
    options: {
      maxRank: fixed ?? values.maxRank,
      energy: values.rank === "auto" ? values.energy : undefined,
      svEpsilon: values.svEpsilon,
      distributeScale: values.distributeScale,
      embedLora: values.embedLora,
      saveModules: values.saveModules,
      exclude: values.exclude,
      include: values.include,
      skipUndecomposable: values.skipUndecomposable,
      biases: values.biases,
      dtype: values.dtype && DTYPES[values.dtype],
      seed: values.seed,
    },
    cacheDir: values.cacheDir ?? DEFAULT_OPTIONS.cacheDir,
    architectures: values.architectures,
    run: running.run,
    safeSerialization: values.safeSerialization,
    writeModelCard: values.writeModelCard,
    command: ["sinter lora extract", ...process.argv.slice(4)].join(" "),
  };
  const places = { device: solverDevice(values.device), dryRun: values.dryRun };
  return await executeExtract(request, running.engine, { ...running.messages, verbose: values.each }, places);
}
