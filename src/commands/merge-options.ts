import { DEFAULT_OPTIONS, type MergeOptions, type RawTensors } from "../plan/types.ts";
import { choice, integer, type Options, type OptionValues, size, text } from "./option.ts";
import { UsageError } from "./parse.ts";

/** Seeds that a JavaScript number holds exactly. */
export const seed = integer(0);
/** More worker threads than any machine has CPUs are a slip. */
export const threadCount = integer(0, 4096);

/** Options that decide what a merge does: `sinter merge` and `sinter plan` share them. */
export const PLANNING_OPTIONS = {
  outShardSize: {
    kind: "value",
    name: "out-shard-size",
    metavar: "SIZE",
    read: size,
    default: DEFAULT_OPTIONS.outShardSize,
    shownDefault: "5B",
    doc: "Most bytes of tensors in one output file. K, M, G (or B) and T are powers of 1000, KiB to TiB of 1024.",
    group: "Output",
  },
  copyTokenizer: {
    kind: "flag",
    name: "copy-tokenizer",
    negatable: true,
    default: DEFAULT_OPTIONS.copyTokenizer,
    doc: "Copy the tokenizer files of the base (or first) model.",
    group: "Output",
  },
  writeModelCard: {
    kind: "flag",
    name: "write-model-card",
    negatable: true,
    default: DEFAULT_OPTIONS.writeModelCard,
    doc: "Write README.md, a model card that names the models and the configuration.",
    group: "Output",
  },
  safeSerialization: {
    kind: "flag",
    name: "safe-serialization",
    negatable: true,
    default: DEFAULT_OPTIONS.safeSerialization,
    doc: "Write safetensors; with --no-safe-serialization, pytorch_model.bin.",
    group: "Output",
  },
  lmHead: {
    kind: "value",
    name: "lm-head",
    metavar: "auto|tied|materialize",
    read: choice(["auto", "tied", "materialize"]),
    default: DEFAULT_OPTIONS.lmHead,
    shownDefault: DEFAULT_OPTIONS.lmHead,
    doc:
      "Whether the output stores an output head of its own. auto: if one of the inputs does; tied: never, the head is " +
      "the embedding; materialize: always.",
    group: "Output",
  },
  strict: {
    kind: "flag",
    name: "strict",
    negatable: false,
    default: DEFAULT_OPTIONS.strict,
    doc: "Refuse unknown keys and parameters in the configuration; they are warnings otherwise.",
    group: "Checks",
  },
  allowCrimes: {
    kind: "flag",
    name: "allow-crimes",
    negatable: true,
    default: DEFAULT_OPTIONS.allowCrimes,
    doc: "Merge models of different architectures as far as their shapes allow.",
    group: "Checks",
  },
  seed: {
    kind: "value",
    name: "seed",
    aliases: ["random-seed"],
    metavar: "NUMBER",
    read: seed,
    default: DEFAULT_OPTIONS.seed,
    shownDefault: String(DEFAULT_OPTIONS.seed),
    doc: "Seed of the methods that drop differences at random. The same seed gives the same bytes everywhere.",
    group: "Computation",
  },
  cacheDir: {
    kind: "value",
    name: "transformers-cache",
    metavar: "FOLDER",
    read: text,
    default: undefined,
    doc:
      "The Hugging Face cache, where models named by a hub id are looked for and downloaded to, instead of HF_HUB_CACHE " +
      "or HF_HOME.",
    group: "Models",
  },
  architectures: {
    kind: "value",
    name: "architectures",
    metavar: "PATH",
    read: text,
    default: undefined,
    doc:
      "Definitions of model families of your own: a JSON file or a folder of them, in Sinter's format or mergekit's. " +
      "They go before those that Sinter has.",
    group: "Models",
  },
} as const satisfies Options;

/** Merges by tensor names: `sinter merge` and `sinter plan` share them. */
export const RAW_OPTIONS = {
  raw: {
    kind: "flag",
    name: "raw",
    negatable: false,
    default: false,
    doc:
      "Merge by tensor names alone: files or folders of tensors that need no config.json, such as diffusion " +
      "checkpoints. The output is weights only.",
    group: "Tensors of no known family",
  },
  tensorIntersection: {
    kind: "flag",
    name: "tensor-intersection",
    short: "i",
    negatable: false,
    default: false,
    doc: "With --raw: leave out tensors that not all models have.",
    group: "Tensors of no known family",
  },
  tensorUnion: {
    kind: "flag",
    name: "tensor-union",
    short: "u",
    negatable: false,
    default: false,
    doc: "With --raw: merge tensors that not all models have of those that have them.",
    group: "Tensors of no known family",
  },
} as const satisfies Options;

type TensorChoice = Pick<OptionValues<typeof RAW_OPTIONS>, "tensorIntersection" | "tensorUnion">;

/** What becomes of tensors that not all models have. mergekit lets the intersection win, too. */
export function tensorChoice({ tensorIntersection, tensorUnion }: TensorChoice): RawTensors {
  return tensorIntersection ? "intersection" : tensorUnion ? "union" : "all";
}

/** @throws UsageError for the choice of tensors without `--raw`. @returns undefined where the merge is not raw. */
export function rawChoice(options: OptionValues<typeof RAW_OPTIONS>): RawTensors | undefined {
  const tensors = tensorChoice(options);
  if (options.raw) return tensors;
  if (tensors === "all") return undefined;
  const message = `--tensor-${tensors} goes with --raw: models of a known family have the tensors of their family`;
  throw new UsageError({ code: "option-value", message });
}

/** The part of a command line that `buildPlan` takes. */
export function mergeOptions(values: OptionValues<typeof PLANNING_OPTIONS>): MergeOptions {
  const { outShardSize, copyTokenizer, writeModelCard, safeSerialization, lmHead, strict, allowCrimes, seed } = values;
  return {
    outShardSize,
    copyTokenizer,
    writeModelCard,
    safeSerialization,
    lmHead,
    strict,
    allowCrimes,
    seed,
    cacheDir: values.cacheDir,
    architectures: values.architectures,
  };
}

export const FORCE_OPTION = {
  kind: "flag",
  name: "force",
  negatable: false,
  default: false,
  doc: "Replace a model that the output folder already holds.",
  group: "Output",
} as const;

export const JSON_OPTION = {
  kind: "flag",
  name: "json",
  negatable: false,
  default: false,
  doc: "Print JSON on standard output.",
  group: "Messages",
} as const;

export const DEVICE_OPTION = {
  kind: "value",
  name: "device",
  metavar: "auto|cpu",
  read: text,
  default: "auto",
  shownDefault: "auto",
  doc: "Where to compute: the CPU, in this command.",
  group: "Computation",
} as const;

export const REPORT_OPTION = {
  kind: "value",
  name: "report",
  metavar: "FILE",
  read: text,
  default: undefined,
  doc: "Then read the result beside its inputs and write a page on what was done, as sinter report does.",
  group: "Output",
} as const;

export const QUIET_OPTION = {
  kind: "flag",
  name: "quiet",
  short: "q",
  negatable: false,
  default: false,
  doc: "No progress.",
  group: "Messages",
} as const;

/** `runCommandLine` sees to it, for every command that has it. */
export const EVENTS_OPTION = {
  kind: "value",
  name: "events",
  metavar: "FILE",
  read: text,
  default: undefined,
  doc: "Tell a program what goes on: one JSON object a line into FILE, a pipe, or - (standard output). See docs/events.md.",
  group: "Messages",
} as const;

/** Where the merges are that the output of `sinter multi` is made of. */
export const INTERMEDIATE_OPTION = {
  kind: "value",
  name: "intermediate-dir",
  short: "I",
  metavar: "FOLDER",
  read: text,
  default: undefined,
  doc: "For the output of sinter multi: where the merges are that it is made of.",
  group: "Models",
} as const;

/** What a method may keep in memory from one pass to the next. */
export const MEMORY_OPTION = {
  kind: "value",
  name: "memory",
  metavar: "SIZE",
  read: size,
  default: 0,
  shownDefault: "0",
  doc: "Memory beyond the usual 300 MB for methods that can trade it for time (della on very large tensors).",
  group: "Computation",
} as const;

export const THREADS_OPTION = {
  kind: "value",
  name: "threads",
  short: "j",
  metavar: "NUMBER",
  read: threadCount,
  default: 0,
  shownDefault: "one per CPU",
  doc: "Worker threads. The output does not depend on it.",
  group: "Computation",
} as const;
