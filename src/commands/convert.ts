import { existsSync, writeFileSync } from "node:fs";
import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { PLANNING_OPTIONS, RAW_OPTIONS } from "./merge-options.ts";
import { type CommandSpec, type Options, type OptionValues, text } from "./option.ts";

const OPTIONS = {
  output: {
    kind: "value",
    name: "output",
    short: "o",
    metavar: "FILE",
    read: text,
    default: undefined,
    shownDefault: "standard output",
    doc: "Where to write it.",
    group: "Output",
  },
  raw: { ...RAW_OPTIONS.raw, doc: "The configuration is for sinter merge --raw: models are paths." },
  strict: PLANNING_OPTIONS.strict,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter convert",
  summary: COMMANDS.convert.summary,
  positionals: [
    {
      name: "CONFIG",
      doc: "A configuration of one merge, of several (---), of a mixture, or of bakllama.",
      required: true,
    },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter convert ties.yml", doc: "Which defaults does this configuration rely on?" },
    { command: "sinter convert graph.yml -o normal.yml", doc: "Keep it: it gives the same plan" },
  ],
  notes: [
    "No model is opened. The same text is in the model card and in sinter_manifest.json of every merge, with the hash of " +
      "its plan.",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run({ output, raw, strict }: OptionValues<typeof OPTIONS>, [config = ""]: readonly string[]) {
  const { readConfigText } = await import("../config/read.ts");
  const { Report } = await import("../errors.ts");
  const { normalise } = await import("../recipes/normalise.ts");
  const { printFile, printProblems } = await import("./terminal.ts");
  const { onFile } = await import("../run/file-error.ts");
  const report = new Report();
  try {
    const isPath = raw ? existsSync : undefined;
    const converted = normalise(readConfigText(config), config, { strict, isPath }, report);
    if (output === undefined) await printFile(converted);
    else onFile("cannot write the configuration", output, () => writeFileSync(output, converted));
    return 0;
  } finally {
    printProblems("warning", report.warnings);
  }
}
