import { Report, SinterError } from "../errors.ts";
import type { Tokenizer } from "../tokenizer/types.ts";
import { type CommandModule, runCommandLine } from "./command.ts";
import { JSON_OPTION, PLANNING_OPTIONS } from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { UsageError } from "./parse.ts";
import { print, printProblems } from "./terminal.ts";

const OPTIONS = {
  text: {
    kind: "value",
    name: "text",
    metavar: "TEXT",
    read: (text: string) => ({ value: text }),
    default: undefined,
    doc: "Also show what both make of this text.",
    group: "Output",
  },
  all: {
    kind: "flag",
    name: "all",
    negatable: false,
    default: false,
    doc: "List every token that differs, and not only the first ten of each kind.",
    group: "Output",
  },
  cacheDir: PLANNING_OPTIONS.cacheDir,
  json: JSON_OPTION,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter tokens diff",
  summary: "Show what differs between the tokenizers of two models.",
  positionals: [
    { name: "LEFT", doc: "A model folder, or a hub id that is in the Hugging Face cache.", required: true },
    { name: "RIGHT", doc: "The same for the other.", required: true },
  ],
  options: OPTIONS,
  examples: [
    {
      command: "sinter tokens diff ./base ./fine-tune",
      doc: "Shared tokens, those of only one, other ids, special ones",
    },
    { command: 'sinter tokens diff ./a ./b --text "Hello world"', doc: "What each makes of a text" },
    { command: "sinter tokens diff ./a ./b --json", doc: "Every token, for a program" },
  ],
  notes: ["Reads tokenizer files only. Exit code 0 whether or not they differ."],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(options: OptionValues<typeof OPTIONS>, [left = "", right = ""]: readonly string[]): Promise<number> {
  const { diffTokenizers } = await import("../tokenizer/diff.ts");
  const both = [await openTokenizer(left, options.cacheDir), await openTokenizer(right, options.cacheDir)] as const;
  const diff = diffTokenizers(...both);
  const encoded = options.text === undefined ? undefined : await encodings(both, options.text);
  if (options.json) {
    await print(`${JSON.stringify({ ...diff, text: encoded }, undefined, 2)}\n`);
    return 0;
  }
  const { tokenizerDiffText } = await import("./tokens-diff-text.ts");
  await print(tokenizerDiffText(diff, encoded, options.all ? Number.POSITIVE_INFINITY : 10));
  return 0;
}

/** The tokenizer of a model that a command line names; warnings are printed. @throws SinterError where there is none. */
export async function openTokenizer(text: string, cacheDir: string | undefined): Promise<Tokenizer> {
  const { parseModelRef } = await import("../model/ref.ts");
  const { readNamed } = await import("../model/attribute.ts");
  const { locateModel } = await import("../model/locate.ts");
  const { listFiles } = await import("../model/folder-files.ts");
  const { readTokenizer, VOCABULARY_FILES } = await import("../tokenizer/read.ts");
  const ref = parseModelRef(text);
  if (typeof ref === "string") throw new UsageError({ code: "bad-model", message: ref });
  const report = new Report();
  const tokenizer = readNamed({ ref }, report, (into, name) => {
    const dir = locateModel(ref.model, cacheDir, into);
    if (dir === undefined) return undefined;
    const found = readTokenizer({ name, dir, files: listFiles(dir) }, into);
    if (found === undefined && into.errors.length === 0) {
      const message = `the folder has no tokenizer: none of ${VOCABULARY_FILES.join(", ")}`;
      into.error({ code: "no-tokenizer", message, path: dir });
    }
    return found;
  });
  printProblems("warning", report.warnings);
  if (tokenizer === undefined) throw new SinterError(report.errors);
  return tokenizer;
}

/** What a text becomes. */
export interface Encoded {
  ids: number[];
  tokens: string[];
}

async function encodings([left, right]: readonly [Tokenizer, Tokenizer], text: string) {
  const { encoderOf } = await import("../tokenizer/encode.ts");
  return { left: encoderOf(left).encode(text), right: encoderOf(right).encode(text) };
}
