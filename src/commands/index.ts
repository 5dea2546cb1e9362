import type { CommandEntry } from "./command.ts";

export type CommandName =
  | "merge"
  | "moe"
  | "plan"
  | "multi"
  | "convert"
  | "verify"
  | "fill"
  | "shuffle"
  | "bakllama"
  | "legacy"
  | "inspect"
  | "diff"
  | "report"
  | "methods"
  | "bench"
  | "eval"
  | "lora"
  | "architectures"
  | "tokens"
  | "doctor"
  | "schema"
  | "completions";

/** The commands as `sinter --help` lists them: by what one wants to do. */
export const COMMAND_GROUPS: Readonly<Record<string, readonly CommandName[]>> = {
  "Write a model": ["merge", "moe", "multi", "lora", "tokens"],
  "Before it": ["plan", "inspect", "diff", "bench"],
  "After it": ["report", "verify", "eval"],
  "Look up": ["methods", "architectures", "convert", "schema", "doctor", "completions"],
  "Smaller programs of mergekit": ["fill", "shuffle", "bakllama", "legacy"],
};

/** Every subcommand of `sinter`. A command's module is imported only when it is chosen. */
export const COMMANDS: Readonly<Record<CommandName, CommandEntry>> = {
  merge: {
    summary: "Merge models as a configuration says, and write the result as a model folder.",
    load: () => import("./merge.ts"),
  },
  moe: {
    summary: "Build a mixture of experts from dense models, and write the result as a model folder.",
    load: () => import("./moe.ts"),
  },
  plan: {
    summary: "Print everything that merge would do, without doing it.",
    load: () => import("./plan.ts"),
  },
  multi: {
    summary: "Carry out several merges of one file, of which some are made of others.",
    load: () => import("./multi.ts"),
  },
  convert: {
    summary: "Print a configuration in normal form, with every default spelt out.",
    load: () => import("./convert.ts"),
  },
  verify: {
    summary: "Say whether a merged model is whole, and whether its bytes are those of its recipe.",
    load: () => import("./verify.ts"),
  },
  fill: {
    summary: "Put the weights of a part of a model into the whole, and take the rest from the whole.",
    load: () => import("./fill.ts"),
  },
  shuffle: {
    summary: "Stack layers that are drawn at random from several models.",
    load: () => import("./shuffle.ts"),
  },
  bakllama: {
    summary: "Stack layers as an old configuration (layer_slices) says.",
    load: () => import("./bakllama.ts"),
  },
  legacy: {
    summary: "Merge models that the command line names, without a configuration file.",
    load: () => import("./legacy.ts"),
  },
  inspect: {
    summary: "Show how a model is understood: family, modules, layers, ties, dtypes, what is missing or unknown.",
    load: () => import("./inspect.ts"),
  },
  diff: {
    summary: "Compare the weights of two models, tensor by tensor and module by module.",
    load: () => import("./diff.ts"),
  },
  report: {
    summary: "Write a page on what a merge did: maps of change, sign conflicts and directions by layer and module.",
    load: () => import("./report.ts"),
  },
  methods: {
    summary: "List the merge methods, or explain one.",
    load: () => import("./methods.ts"),
  },
  bench: {
    summary: "Compare merge methods on your models: how fast each is, and what it does to the weights.",
    load: () => import("./bench.ts"),
  },
  lora: {
    summary: "Extract a LoRA adapter from a fine-tune, apply one to its model, or lower the rank of one.",
    load: () => import("./lora.ts"),
  },
  eval: {
    summary: "Measure a model: how well it predicts a text (perplexity).",
    load: () => import("./eval.ts"),
  },
  architectures: {
    summary: "List the model families, print the definition of one, or make one for a new family.",
    load: () => import("./architectures.ts"),
  },
  tokens: {
    summary: "Compare the tokenizers of models, or give a model the tokenizer of another.",
    load: () => import("./tokens.ts"),
  },
  doctor: {
    summary: "Show what this machine offers: instruction set, threads, memory, GPU, native addon.",
    load: () => import("./doctor.ts"),
  },
  schema: {
    summary: "Print the JSON Schema of a kind of file, for editors: configurations, families, events.",
    load: () => import("./schema.ts"),
  },
  completions: {
    summary: "Print what makes a shell complete commands, options and their values.",
    load: () => import("./completions.ts"),
  },
};
