import pkg from "../package.json" with { type: "json" };
import { signature, usageLine, withDefault } from "../src/commands/help.ts";
import type { CommandSpec, Option } from "../src/commands/option.ts";
import { flattened, type ReferencedCommand } from "../src/commands/reference.ts";

/** A page of section 1 of the manual. */
export interface ManualPage {
  file: string;
  text: string;
}

/** One page per program and command: `man sinter-merge`, `man mergekit-yaml`. In man(7)'s language. */
export function manualPages(programs: readonly ReferencedCommand[]): ManualPage[] {
  return programs.flatMap(flattened).map((command) => {
    const name = command.words.join("-");
    const body = command.spec === undefined ? overview(command) : page(command.spec);
    const head = `.TH ${name.toUpperCase()} 1 "" "Sinter ${pkg.version}" "Sinter"\n.SH NAME\n${name} \\- ${escaped(command.summary)}\n`;
    return { file: `${name}.1`, text: `${head}${body}.SH EXIT STATUS\n${EXIT}.SH SEE ALSO\n${seeAlso(command)}` };
  });
}

const EXIT = `.TP
0
Done.
.TP
1
Refused or failed: standard error says why, and nothing of the output is there.
.TP
2
A mistake on the command line.
.TP
3
With \\-\\-check: the result is written, and looks broken.
.TP
129, 130, 143
Stopped by SIGHUP, SIGINT or SIGTERM.
`;

function overview({ words, commands }: ReferencedCommand): string {
  const rows = commands.map(
    ({ words: own, summary }) => `.TP\n\\fB${escaped(own.at(-1) ?? "")}\\fR\n${escaped(summary)}\n`,
  );
  return `.SH SYNOPSIS\n\\fB${escaped(words.join(" "))}\\fR COMMAND [OPTIONS] [ARGUMENTS]\n.SH COMMANDS\n${rows.join("")}`;
}

function page(spec: CommandSpec): string {
  const groups = Map.groupBy(
    Object.values(spec.options).filter((option) => !(option.kind === "flag" && option.hidden)),
    ({ group }) => group,
  );
  return [
    `.SH SYNOPSIS\n${escaped(usageLine(spec))}\n`,
    spec.positionals.length > 0
      ? `.SH ARGUMENTS\n${spec.positionals.map(({ name, doc }) => entry(name, doc)).join("")}`
      : "",
    groups.size > 0 ? ".SH OPTIONS\n" : "",
    ...[...groups].map(([group, options]) => `.SS ${escaped(group)}\n${options.map(optionEntry).join("")}`),
    spec.notes?.length ? `.SH NOTES\n${spec.notes.map((note) => `${escaped(note)}\n`).join(".PP\n")}` : "",
    spec.examples.length > 0 ? `.SH EXAMPLES\n${spec.examples.map(example).join(".PP\n")}` : "",
  ].join("");
}

function optionEntry(option: Option): string {
  return entry(signature(option), withDefault(option));
}

function entry(name: string, doc: string): string {
  return `.TP\n\\fB${escaped(name)}\\fR\n${escaped(doc)}\n`;
}

function example({ command, doc }: { command: string; doc: string }): string {
  return `${escaped(doc)}:\n.PP\n.EX\n    ${escaped(command)}\n.EE\n`;
}

function seeAlso({ words, commands }: ReferencedCommand): string {
  const others =
    commands.length > 0
      ? commands.map(({ words: own }) => own.join("-"))
      : words.length > 1
        ? [words.slice(0, -1).join("-")]
        : ["sinter"];
  return `${others.map((name) => `\\fB${escaped(name)}\\fR(1)`).join(", ")}\n`;
}

/** Text that roff takes as it stands. A line must not begin with a dot or an apostrophe. */
function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");
}
