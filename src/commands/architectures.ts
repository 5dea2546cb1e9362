import { existsSync, writeFileSync } from "node:fs";
import { definitionText } from "../architecture/definition-text.ts";
import { configFolder, describedFamilies, familiesFor } from "../architecture/families.ts";
import { BUILT_IN, type Families } from "../architecture/registry.ts";
import { nearest, Report, SinterError } from "../errors.ts";
import { columns } from "./columns.ts";
import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { JSON_OPTION, PLANNING_OPTIONS } from "./merge-options.ts";
import { type CommandSpec, type Options, type OptionValues, text } from "./option.ts";
import { UsageError } from "./parse.ts";
import { print, printFile, printProblems, writeError } from "./terminal.ts";

const OPTIONS = {
  architectures: PLANNING_OPTIONS.architectures,
  cacheDir: PLANNING_OPTIONS.cacheDir,
  out: {
    kind: "value",
    name: "out",
    short: "o",
    metavar: "FILE",
    read: text,
    default: undefined,
    doc: "Write the definition to this file, which must not be there, instead of standard output.",
    group: "Output",
  },
  json: JSON_OPTION,
} as const satisfies Options;

type Values = OptionValues<typeof OPTIONS>;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter architectures",
  summary: COMMANDS.architectures.summary,
  positionals: [
    {
      name: "NAME",
      doc: "A family whose definition to print, or new to make one for MODEL; without it, all are listed.",
      required: false,
      words: ["new", ...BUILT_IN.names],
    },
    { name: "MODEL", doc: "After new: the model that the definition is made from.", required: false },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter architectures", doc: "List the families" },
    { command: "sinter architectures qwen2", doc: "Print the definition of one" },
    { command: "sinter architectures new ./model -o mine.json", doc: "Make one for a model that nobody described" },
    { command: "sinter architectures --json", doc: "For a program" },
  ],
  notes: [
    "Definitions of your own, in this format or in mergekit's, are read from the file or folder that --architectures " +
      "names, and from sinter/architectures in the folder for configurations ($XDG_CONFIG_HOME or ~/.config).",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(options: Values, [name, model]: readonly string[]): Promise<number> {
  if (name === "new") return await makeDefinition(options, model);
  if (model !== undefined) throw usage("surplus-argument", `"${model}" is one argument too many`);
  const report = new Report();
  const families = describedFamilies(options.architectures, report);
  report.throwIfErrors();
  if (name === undefined) await print(options.json ? listJson(families) : listText(families));
  else await write(definitionText(families.load(known(name, families))), options.out);
  return 0;
}

function usage(code: string, message: string): UsageError {
  return new UsageError({ code, message, hint: "sinter architectures new MODEL makes a definition" });
}

function known(name: string, families: Families): string {
  const family = families.named(name) ?? families.find(name, name);
  if (family !== undefined) return family;
  const near = nearest(name, families.names);
  throw new SinterError({
    code: "unknown-family",
    message: `no family is called ${JSON.stringify(name)}, and none has such a class or model_type`,
    hint: near === undefined ? "sinter architectures lists them" : `did you mean ${near}?`,
  });
}

/** A model of a described family gets that family's definition: also something to start from. */
async function makeDefinition({ architectures, cacheDir, out }: Values, name: string | undefined): Promise<number> {
  if (name === undefined) throw usage("missing-argument", "new needs the MODEL to make a definition from");
  const { openNamedModel } = await import("./open-model.ts");
  const model = openNamedModel(name, cacheDir);
  const report = new Report();
  const families = familiesFor([model], architectures, report);
  report.throwIfErrors();
  const family = families.find(model.architecture, model.config.model_type) as string;
  if (report.warnings.length === 0) writeError(`${model.name} is of a family that is described: ${family}\n`);
  printProblems(
    "warning",
    report.warnings.filter(({ code }) => code !== "inferred-family"),
  );
  await write(definitionText(families.load(family)), out);
  return 0;
}

async function write(definition: string, out: string | undefined): Promise<void> {
  if (out === undefined) return await printFile(definition);
  if (existsSync(out)) throw new SinterError({ code: "file-exists", message: "the file is there already", path: out });
  writeFileSync(out, definition);
  writeError(
    `wrote ${out}: --architectures ${out} uses it, and so does every merge once it lies in ${configFolder()}\n`,
  );
}

function listText(families: Families): string {
  const rows = families.names.map((name) => {
    const { model_types: types = [], architectures: classes = [] } = families.entry(name) ?? {};
    const own = isBuiltIn(name, families) ? "" : "yours";
    return [name, types.join(", "), `${classes[0]}${classes.length > 1 ? ` and ${classes.length - 1} more` : ""}`, own];
  });
  return `${columns([["FAMILY", "MODEL TYPES", "CLASSES", ""], ...rows])}\n\nsinter architectures NAME prints one.\n`;
}

function isBuiltIn(name: string, families: Families): boolean {
  return BUILT_IN.entry(name) === families.entry(name);
}

function listJson(families: Families): string {
  const list = families.names.map((name) => ({ name, ...families.entry(name), yours: !isBuiltIn(name, families) }));
  return `${JSON.stringify(
    list.map(({ name, model_types, architectures, yours }) => ({ name, model_types, architectures, yours })),
    undefined,
    2,
  )}\n`;
}
