import { BENCH_DEFAULTS, type BenchValues, parseSetting } from "../bench/values.ts";
import { methods } from "../methods/index.ts";
import { parseTorchDtype, torchDtypeNames } from "../model/dtype.ts";
import { DEFAULT_OPTIONS } from "../plan/types.ts";
import { type CommandModule, runCommandLine } from "./command.ts";
import { refuseDevice } from "./device.ts";
import { COMMANDS } from "./index.ts";
import {
  DEVICE_OPTION,
  EVENTS_OPTION,
  JSON_OPTION,
  MEMORY_OPTION,
  PLANNING_OPTIONS,
  QUIET_OPTION,
  THREADS_OPTION,
} from "./merge-options.ts";
import {
  type CommandSpec,
  decimal,
  integer,
  type Options,
  type OptionValues,
  offering,
  type Reader,
  text,
} from "./option.ts";
import { UsageError } from "./parse.ts";

const setting: Reader<readonly [string, number | boolean]> = (value) => {
  const read = parseSetting(value);
  return typeof read === "string" ? { wrong: read } : { value: read };
};

const dtype = offering(torchDtypeNames, (value): ReturnType<Reader<string>> => {
  if (parseTorchDtype(value) !== undefined) return { value };
  return { wrong: `"${value}" is no dtype that weights are merged in`, hint: `known: ${torchDtypeNames.join(", ")}` };
});

const OPTIONS = {
  models: {
    kind: "list",
    name: "models",
    metavar: "MODEL",
    read: text,
    doc: "The models to merge, as a configuration names them: folders, or ids in the Hugging Face cache.",
    group: "Models",
  },
  base: {
    kind: "value",
    name: "base",
    metavar: "MODEL",
    read: text,
    default: undefined,
    doc: "Their base model. Without it, methods that need one are skipped, and changes are measured against the first model.",
    group: "Models",
  },
  cacheDir: PLANNING_OPTIONS.cacheDir,
  methods: {
    kind: "list",
    name: "methods",
    metavar: "NAME",
    read: offering(["all", ...methods.map(({ name }) => name)], text),
    doc: "all (the default), or names, with commas or spaces between them.",
    group: "Methods",
  },
  weight: {
    kind: "value",
    name: "weight",
    metavar: "NUMBER",
    read: decimal,
    default: undefined,
    shownDefault: "1 / number of models",
    doc: "Weight of each model.",
    group: "Methods",
  },
  density: {
    kind: "value",
    name: "density",
    metavar: "NUMBER",
    read: decimal,
    default: undefined,
    shownDefault: String(BENCH_DEFAULTS.density),
    doc: "Share of each model's differences that ties, dare, della and breadcrumbs keep.",
    group: "Methods",
  },
  t: {
    kind: "value",
    name: "t",
    metavar: "NUMBER",
    read: decimal,
    default: undefined,
    shownDefault: String(BENCH_DEFAULTS.t),
    doc: "Place between two models, for slerp.",
    group: "Methods",
  },
  set: {
    kind: "list",
    name: "set",
    metavar: "[METHOD.]NAME=VALUE",
    read: setting,
    doc: "Values of other parameters, or of a parameter in one method only. What is not set has its declared default; nearswap.t is 0.0001.",
    group: "Methods",
  },
  dtype: {
    kind: "value",
    name: "dtype",
    metavar: "NAME",
    read: dtype,
    default: undefined,
    doc: "The outputs' dtype, e.g. float32. Without it, what a configuration without dtype gives.",
    group: "Methods",
  },
  seed: PLANNING_OPTIONS.seed,
  repeat: {
    kind: "value",
    name: "repeat",
    metavar: "NUMBER",
    read: integer(1, 1000),
    default: 1,
    shownDefault: "1",
    doc: "Merges per method; the median of their times counts.",
    group: "Computation",
  },
  threads: THREADS_OPTION,
  memory: MEMORY_OPTION,
  device: DEVICE_OPTION,
  out: {
    kind: "value",
    name: "out",
    metavar: "FOLDER",
    read: text,
    default: undefined,
    shownDefault: "the folder for temporary files",
    doc: "Where outputs are written, one at a time, and removed again: a place on the disk to measure.",
    group: "Computation",
  },
  sync: {
    kind: "flag",
    name: "sync",
    negatable: true,
    default: true,
    doc: "Wait for the disk in every merge, as sinter merge does.",
    group: "Computation",
  },
  allowCrimes: PLANNING_OPTIONS.allowCrimes,
  json: { ...JSON_OPTION, doc: "Print the result as JSON on standard output instead of the table." },
  events: EVENTS_OPTION,
  html: {
    kind: "value",
    name: "html",
    metavar: "FILE",
    read: text,
    default: undefined,
    doc: "Also write the result as one HTML page with charts.",
    group: "Messages",
  },
  quiet: { ...QUIET_OPTION, doc: "No progress: warnings, errors and the result only." },
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter bench",
  summary: COMMANDS.bench.summary,
  positionals: [],
  options: OPTIONS,
  examples: [
    {
      command: "sinter bench --models ./a ./b --base ./base",
      doc: "Every method that goes with two models and their base",
    },
    {
      command: "sinter bench --methods ties,dare_ties --density 0.2 --models ./a ./b --base ./base",
      doc: "Two methods, with a fifth of the differences",
    },
    {
      command: "sinter bench --models ./a ./b --set ties.density=0.2 lambda=0.8 nearswap.t=0.001",
      doc: "Other values for some parameters",
    },
    {
      command: "sinter bench --models ./a ./b --base ./base --repeat 5 --out /data --html bench.html --json",
      doc: "On the disk of /data, five times each, with charts; the figures go to a program",
    },
  ],
  notes: [
    "For each method: seconds and GB/s of a whole merge, then what it did to the weights: the norm of its change, the " +
      "cosine of the change to that of each model, and how much of the weights it changed, together and for each part of " +
      "the model. docs/bench.md explains every figure. Nothing that is merged stays.",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(options: OptionValues<typeof OPTIONS>): Promise<number> {
  refuseDevice(options.device);
  if (options.models.length === 0) {
    throw new UsageError({ code: "missing-argument", message: "Missing option --models: the models to merge" });
  }
  const { executeBench } = await import("./execute-bench.ts");
  const planning = {
    ...DEFAULT_OPTIONS,
    copyTokenizer: false,
    writeModelCard: false,
    allowCrimes: options.allowCrimes,
    seed: options.seed,
    cacheDir: options.cacheDir,
  };
  return await executeBench({
    methods: options.methods.flatMap((names) => names.split(",")).filter((name) => name !== ""),
    models: options.models,
    base: options.base,
    values: values(options),
    dtype: options.dtype,
    options: planning,
    scratch: options.out,
    repeat: options.repeat,
    sync: options.sync,
    threads: options.threads,
    memory: options.memory,
    json: options.json,
    html: options.html,
    quiet: options.quiet,
  });
}

/** The three that have options of their own, then what `--set` says. */
function values({ weight, density, t, set }: OptionValues<typeof OPTIONS>): BenchValues {
  const own = Object.entries({ weight, density, t }).filter(
    (entry): entry is [string, number] => entry[1] !== undefined,
  );
  return new Map([...own, ...set]);
}
