import { type CommandModule, runCommandLine } from "./command.ts";
import { DEVICE_OPTIONS } from "./device.ts";
import { COMMANDS } from "./index.ts";
import { EVENTS_OPTION, JSON_OPTION, PLANNING_OPTIONS, QUIET_OPTION, THREADS_OPTION } from "./merge-options.ts";
import { type CommandSpec, integer, type Options, type OptionValues, text } from "./option.ts";
import { UsageError } from "./parse.ts";

const OPTIONS = {
  text: {
    kind: "value",
    name: "text",
    metavar: "FILE",
    read: text,
    default: undefined,
    doc: "The text, in UTF-8.",
    group: "Text",
  },
  window: {
    kind: "value",
    name: "window",
    metavar: "TOKENS",
    read: integer(2),
    default: undefined,
    doc: "Tokens that the model sees at a time: 2048 unless given, or what it was made for where that is less.",
    group: "Text",
  },
  stride: {
    kind: "value",
    name: "stride",
    metavar: "TOKENS",
    read: integer(1),
    default: undefined,
    doc: "Tokens from one window to the next: as many as a window has unless given. Less takes longer, and gives each token more context.",
    group: "Text",
  },
  maxTokens: {
    kind: "value",
    name: "max-tokens",
    metavar: "TOKENS",
    read: integer(2),
    default: undefined,
    doc: "Stop after so many tokens of the text.",
    group: "Text",
  },
  architectures: PLANNING_OPTIONS.architectures,
  cacheDir: PLANNING_OPTIONS.cacheDir,
  threads: { ...THREADS_OPTION, doc: "Worker threads. The result does not depend on it." },
  device: {
    ...DEVICE_OPTIONS.device,
    metavar: "cpu|cuda|cuda:N",
    shownDefault: "cpu",
    doc: "What multiplies with the weights: the CPU, or a GPU through NVIDIA's cuBLAS, which is opened at run time.",
  },
  memoryGpu: {
    ...DEVICE_OPTIONS.memoryGpu,
    doc: "Memory that may be taken of the GPU.",
    shownDefault: "half of what is free",
  },
  quiet: QUIET_OPTION,
  json: JSON_OPTION,
  events: EVENTS_OPTION,
} as const satisfies Options;

export type EvalOptions = OptionValues<typeof OPTIONS>;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter eval",
  summary: COMMANDS.eval.summary,
  positionals: [
    { name: "MEASURE", doc: "What to measure: perplexity.", required: true, words: ["perplexity"] },
    { name: "MODEL", doc: "A model folder, or a hub id that is in the Hugging Face cache.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter eval perplexity ./merged --text sample.txt", doc: "How well the model predicts a text" },
    { command: "sinter eval perplexity ./merged --text sample.txt --window 512 --stride 256", doc: "Smaller windows" },
    { command: "sinter eval perplexity ./merged --text sample.txt --json", doc: "For a program" },
  ],
  notes: [
    "For models of the families llama, mistral, qwen2 and qwen3 with a tokenizer. Computed in float32, " +
      "layer by layer: memory does not grow with the model's depth or the text.",
    "Perplexities compare between models with the same tokenizer; bits per byte compare between all.",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(options: EvalOptions, [measure, name = ""]: readonly string[]): Promise<number> {
  if (measure !== "perplexity") {
    throw new UsageError({
      code: "unknown-measure",
      message: `No such measure: ${measure}`,
      hint: "there is perplexity",
    });
  }
  const { text } = options;
  if (text === undefined) {
    throw new UsageError({ code: "missing-option", message: "Missing option --text", hint: "name a file with text" });
  }
  const { executeEval } = await import("./execute-eval.ts");
  return await executeEval(name, { ...options, text });
}
