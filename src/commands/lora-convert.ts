import { type CommandModule, runCommandLine } from "./command.ts";
import { RANK_OPTIONS } from "./lora-options.ts";
import { mergeOptions, PLANNING_OPTIONS } from "./merge-options.ts";
import { type CommandSpec, choice, type Options, type OptionValues } from "./option.ts";
import { RUN_OPTIONS, runRequest } from "./run-options.ts";

const { strict: _, allowCrimes: __, seed: ___, ...OUTPUT } = PLANNING_OPTIONS;

const OPTIONS = {
  rank: {
    ...RANK_OPTIONS.rank,
    doc: "Of an adapter alone: the rank to come to; auto: as many as keep the share that --energy says.",
  },
  energy: RANK_OPTIONS.energy,
  dtype: {
    kind: "value",
    name: "dtype",
    metavar: "DTYPE",
    read: choice(["float32", "float16", "bfloat16"]),
    default: undefined,
    shownDefault: "the model's",
    doc: "What the merged model is stored as.",
    group: "Output",
  },
  ...OUTPUT,
  ...RUN_OPTIONS,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter lora convert",
  summary: "Apply an adapter to its model and write the result, or write an adapter with a lower rank.",
  positionals: [
    { name: "SOURCE", doc: "base+adapter for a merged model, or an adapter alone, with --rank.", required: true },
    { name: "OUT", doc: "The folder to write to.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter lora convert ./base+./adapter ./merged", doc: "A model with the adapter applied" },
    { command: "sinter lora convert ./adapter ./smaller --rank 8", doc: "The best adapter of rank 8" },
    { command: "sinter lora extract ./merged ./base ./adapter", doc: "The way back: an adapter of a merged model" },
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

const DTYPES = { float32: "F32", float16: "F16", bfloat16: "BF16" } as const;

async function run(values: OptionValues<typeof OPTIONS>, [source = "", out = ""]: readonly string[]): Promise<number> {
  const { executeApply, executeReduce } = await import("./execute-convert.ts");
  const request = { out, ...runRequest(values) };
  if (values.rank !== undefined) {
    const maxRank = typeof values.rank === "number" ? values.rank : 1 << 20;
    const energy = values.rank === "auto" ? values.energy : undefined;
    return await executeReduce(source, { cacheDir: values.cacheDir, options: { maxRank, energy } }, request);
  }
  const options = mergeOptions({ ...values, strict: false, allowCrimes: false, seed: 0 });
  return await executeApply(source, { options, dtype: values.dtype && DTYPES[values.dtype] }, request);
}
