import type { CommandSpec, Option } from "./option.ts";
import { optionNames } from "./parse.ts";

/** Columns of a terminal that help is set for where there is none to ask. */
const WIDTH = 100;
/** Names longer than this stand on a line of their own. */
const NAME_COLUMN = 34;

/** Everything that a command takes: usage, arguments, options by group with their defaults, examples. */
export function renderHelp(spec: CommandSpec): string {
  const sections = [`Usage: ${usageLine(spec)}`, wrap(spec.summary, WIDTH, "  ")];
  if (spec.positionals.length > 0) {
    const rows = spec.positionals.map(({ name, doc, required }): Row => [name, required ? doc : `${doc}  [optional]`]);
    sections.push(`Arguments:\n${table(rows)}`);
  }
  const shown = Object.values(spec.options).filter((option) => !(option.kind === "flag" && option.hidden));
  const groups = new Map<string, Row[]>();
  for (const option of shown) {
    const rows = groups.get(option.group) ?? [];
    rows.push([signature(option), withDefault(option)]);
    groups.set(option.group, rows);
  }
  for (const [group, rows] of groups) sections.push(`${group}:\n${table(rows)}`);
  sections.push(`Help:\n${table([["--help, -h", "Show this text."]])}`);
  for (const note of spec.notes ?? []) sections.push(wrap(note, WIDTH, ""));
  if (spec.examples.length > 0) {
    const examples = spec.examples.map(({ command, doc }) => `  # ${doc}\n  ${command}`);
    sections.push(`Examples:\n${examples.join("\n\n")}`);
  }
  return `${sections.join("\n\n")}\n`;
}

/** `sinter merge [OPTIONS] CONFIG OUT` */
export function usageLine(spec: CommandSpec): string {
  const positionals = spec.positionals.map(({ name, required }) => (required ? name : `[${name}]`));
  return [spec.name, "[OPTIONS]", ...positionals].join(" ");
}

type Row = readonly [name: string, doc: string];

/** An option's names, and what stands for its value. */
export function signature(option: Option): string {
  if (option.kind === "count") return `-${option.short}`;
  if (option.kind === "value") return `${optionNames(option)} ${option.metavar}`;
  if (option.kind === "repeated") return `${optionNames(option)} ${option.metavar}, again …`;
  if (option.kind === "list") return `${optionNames(option)} ${option.metavar} ...`;
  const off = option.kind === "flag" && option.dashed?.off ? `, -${option.dashed.off}` : "";
  return option.negatable ? `${optionNames(option)} / --no-${option.name}${off}` : optionNames(option);
}

/** What an option is for, and its default. */
export function withDefault(option: Option): string {
  const shown = shownDefault(option);
  return shown === undefined ? option.doc : `${option.doc}  [default: ${shown}]`;
}

function shownDefault(option: Option): string | undefined {
  if (option.kind === "value") return option.shownDefault;
  if (option.kind === "flag" && option.negatable && option.default !== undefined)
    return option.default ? option.name : `no-${option.name}`;
  return undefined;
}

function table(rows: readonly Row[]): string {
  return rows
    .map(([name, doc]) => {
      const indent = " ".repeat(NAME_COLUMN);
      const body = wrap(doc, WIDTH, indent);
      const head = `  ${name}`;
      return head.length + 2 > NAME_COLUMN ? `${head}\n${body}` : head.padEnd(NAME_COLUMN) + body.trimStart();
    })
    .join("\n");
}

function wrap(paragraph: string, width: number, indent: string): string {
  const lines: string[] = [];
  let line = indent;
  for (const word of paragraph.split(" ")) {
    if (line.length + word.length + 1 > width && line.trim() !== "") {
      lines.push(line.trimEnd());
      line = indent;
    }
    line += `${word} `;
  }
  lines.push(line.trimEnd());
  return lines.join("\n");
}
