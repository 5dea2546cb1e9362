import { DEFAULT_OPTIONS } from "../../plan/types.ts";
import { LORA_CACHE_OPTIONS } from "../lora-cache-options.ts";
import { seed, threadCount } from "../merge-options.ts";
import { integer, type Options, offering, size, text } from "../option.ts";

type Group = "Storage" | "Output Settings" | "Performance" | "Dangerous Options" | "Miscellaneous";

function flag<const N extends string>(name: N, byDefault: boolean, group: Group, doc: string) {
  return { kind: "flag", name, negatable: true, default: byDefault, doc, group } as const;
}

/** Every option of mergekit 0.1.4's merge commands, with its forms and defaults, in its order and groups. */
export const MERGEKIT_OPTIONS = {
  allowCrimes: flag(
    "allow-crimes",
    false,
    "Dangerous Options",
    "Merge models of different architectures as far as their shapes allow.",
  ),
  transformersCache: {
    kind: "value",
    name: "transformers-cache",
    metavar: "FOLDER",
    read: text,
    default: undefined,
    doc:
      "The Hugging Face cache, where models named by a hub id are looked for and downloaded to, instead of HF_HUB_CACHE " +
      "or HF_HOME.",
    group: "Storage",
  },
  ...LORA_CACHE_OPTIONS,
  cuda: flag("cuda", false, "Performance", "Compute on the first CUDA GPU, as --device cuda does."),
  device: {
    kind: "value",
    name: "device",
    metavar: "DEVICE",
    read: offering(["auto", "cpu", "cuda"], text),
    default: undefined,
    shownDefault: "cpu",
    doc: "cpu, cuda, cuda:1 …; or auto, a GPU for what sinter doctor --measure found to be faster there.",
    group: "Performance",
  },
  lowCpuMemory: flag(
    "low-cpu-memory",
    false,
    "Performance",
    "With a GPU: little host memory for copies. Memory is constant in any case, whatever the size of the models.",
  ),
  outShardSize: {
    kind: "value",
    name: "out-shard-size",
    metavar: "SIZE",
    read: size,
    default: DEFAULT_OPTIONS.outShardSize,
    shownDefault: "5B",
    doc: "Most bytes of tensors in one output file: a number, or one with K, M or B (powers of 1000); G is B.",
    group: "Output Settings",
  },
  copyTokenizer: flag(
    "copy-tokenizer",
    DEFAULT_OPTIONS.copyTokenizer,
    "Output Settings",
    "Copy the tokenizer files of the base (or first) model.",
  ),
  cloneTensors: flag(
    "clone-tensors",
    false,
    "Output Settings",
    "No effect: a layer that is taken several times is always written several times.",
  ),
  trustRemoteCode: flag(
    "trust-remote-code",
    false,
    "Dangerous Options",
    "No effect: Sinter reads weights and JSON, and never runs code that comes with a model.",
  ),
  randomSeed: {
    kind: "value",
    name: "random-seed",
    metavar: "NUMBER",
    read: seed,
    default: DEFAULT_OPTIONS.seed,
    shownDefault: String(DEFAULT_OPTIONS.seed),
    doc: "Seed of the methods that drop differences at random. The same seed gives the same bytes everywhere.",
    group: "Miscellaneous",
  },
  lazyUnpickle: flag(
    "lazy-unpickle",
    false,
    "Performance",
    "No effect: weights are mapped, so that only what is merged right now is in memory.",
  ),
  writeModelCard: flag(
    "write-model-card",
    DEFAULT_OPTIONS.writeModelCard,
    "Output Settings",
    "Write README.md, a model card that names the models and the configuration.",
  ),
  safeSerialization: flag(
    "safe-serialization",
    DEFAULT_OPTIONS.safeSerialization,
    "Output Settings",
    "Write safetensors; with --no-safe-serialization, pytorch_model.bin.",
  ),
  verbosity: {
    kind: "count",
    short: "v",
    doc: "Print the plan before the work starts.",
    group: "Miscellaneous",
  },
  quiet: flag("quiet", false, "Miscellaneous", "No progress and no summary: warnings and errors only."),
  readToGpu: flag("read-to-gpu", false, "Performance", "No effect: a GPU that computes is given its inputs at once."),
  multiGpu: flag("multi-gpu", false, "Performance", "Compute on all CUDA GPUs."),
  numThreads: {
    kind: "value",
    name: "num-threads",
    short: "j",
    metavar: "NUMBER",
    read: threadCount,
    default: 0,
    shownDefault: "one per CPU",
    doc: "Worker threads. The output does not depend on it.",
    group: "Performance",
  },
  gpuRich: {
    kind: "flag",
    name: "gpu-rich",
    negatable: false,
    default: false,
    doc: "The same as --cuda --read-to-gpu --multi-gpu.",
    group: "Performance",
  },
  asyncWrite: flag(
    "async-write",
    false,
    "Performance",
    "No effect: output is always written while tensors are computed.",
  ),
  writeThreads: {
    kind: "value",
    name: "write-threads",
    metavar: "NUMBER",
    read: integer(Number.MIN_SAFE_INTEGER),
    default: 1,
    shownDefault: "1",
    doc: "No effect: the threads that compute write, too. See --num-threads.",
    group: "Performance",
  },
} as const satisfies Options;
