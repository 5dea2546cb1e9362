import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { EVENTS_OPTION, JSON_OPTION, PLANNING_OPTIONS, QUIET_OPTION, THREADS_OPTION } from "./merge-options.ts";
import { type CommandSpec, choice, decimal, integer, type Options, type OptionValues, text } from "./option.ts";
import { UsageError } from "./parse.ts";

const OPTIONS = {
  base: {
    kind: "value",
    name: "base",
    metavar: "MODEL",
    read: text,
    default: undefined,
    doc: "The model that both come from: also say how each differs from it, and where their changes contradict.",
    group: "Models",
  },
  cacheDir: PLANNING_OPTIONS.cacheDir,
  architectures: PLANNING_OPTIONS.architectures,
  filter: {
    kind: "repeated",
    name: "filter",
    metavar: "PATTERN",
    read: text,
    doc: "Only tensors whose name in A is this; * stands for any text. Several patterns add up.",
    group: "What is compared",
  },
  thresholds: {
    kind: "repeated",
    name: "threshold",
    metavar: "NUMBER",
    read: decimal,
    doc: "Count the elements that differ by more than this; several are counted apart. 1e-4, 1e-3 and 1e-2 if not given.",
    group: "What is compared",
  },
  by: {
    kind: "value",
    name: "by",
    metavar: "module|layer|tensor",
    read: choice(["module", "layer", "tensor"]),
    default: "module",
    shownDefault: "module",
    doc: "What the table has a row for. With --json all three are there.",
    group: "Output",
  },
  top: {
    kind: "value",
    name: "top",
    metavar: "NUMBER",
    read: integer(0),
    default: undefined,
    shownDefault: "10",
    doc: "List so many of the tensors that changed most, by relative change. With --json, only these tensors.",
    group: "Output",
  },
  html: {
    kind: "value",
    name: "html",
    metavar: "FILE",
    read: text,
    default: undefined,
    doc: "Also write the comparison as one HTML page, with maps by layer and module.",
    group: "Output",
  },
  threads: THREADS_OPTION,
  quiet: QUIET_OPTION,
  json: JSON_OPTION,
  events: EVENTS_OPTION,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter diff",
  summary: COMMANDS.diff.summary,
  positionals: [
    {
      name: "A",
      doc: "A model: a folder, a hub id (downloaded if it is not in the cache) or a file of tensors.",
      required: true,
    },
    { name: "B", doc: "The model to hold against it.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter diff ./base ./fine-tune", doc: "What fine-tuning changed, by kind of module" },
    { command: "sinter diff ./a ./b --base ./base --by layer", doc: "Two fine-tunes: where their changes contradict" },
    { command: "sinter diff ./a ./b --filter '*.mlp.*' --by tensor", doc: "Some tensors, one by one" },
    { command: "sinter diff ./base ./fine-tune --html diff.html", doc: "Also as a page with maps" },
    { command: "sinter diff ./a ./b --json --top 20", doc: "For a program" },
  ],
  notes: [
    "Reads every tensor once, and writes nothing. Weights are the same where the models' families say so, whatever their " +
      "names; models of different families are compared by name. Where vocabularies differ, rows of the tokens that all " +
      "have are compared. Exit code 0 whether or not the models differ.",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(options: OptionValues<typeof OPTIONS>, [left = "", right = ""]: readonly string[]): Promise<number> {
  const thresholds = options.thresholds.length === 0 ? [1e-4, 1e-3, 1e-2] : thresholdsOf(options.thresholds);
  const { executeDiff } = await import("./execute-diff.ts");
  return await executeDiff({ ...options, left, right, thresholds });
}

/** @throws UsageError for thresholds that native code does not take. */
function thresholdsOf(given: readonly number[]): number[] {
  const wrong = given.find((threshold) => threshold < 0);
  if (wrong !== undefined) throw new UsageError({ code: "option-value", message: `--threshold ${wrong} is below 0` });
  const thresholds = [...new Set(given)].filter((threshold) => threshold > 0).sort((a, b) => a - b);
  if (thresholds.length <= 8) return thresholds;
  throw new UsageError({
    code: "option-value",
    message: `${thresholds.length} thresholds are given, and at most 8 can be`,
  });
}
