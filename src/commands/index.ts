import type { CommandModule } from "./command.ts";

export type CommandName =
  | "merge"
  | "moe"
  | "plan"
  | "inspect"
  | "methods"
  | "bench"
  | "eval"
  | "lora"
  | "architectures"
  | "doctor";

export interface CommandEntry {
  summary: string;
  load: () => Promise<CommandModule>;
}

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
  inspect: {
    summary: "Show how a model is understood: family, modules, layers, ties, dtypes, what is missing or unknown.",
    load: () => import("./inspect.ts"),
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
  doctor: {
    summary: "Show what this machine offers: instruction set, threads, memory, GPU, native addon.",
    load: () => import("./doctor.ts"),
  },
};
