/** Pages that are made of declarations and files, as Markdown. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { signature, usageLine, withDefault } from "../../src/commands/help.ts";
import type { CommandSpec, Option } from "../../src/commands/option.ts";
import { commandReference, flattened, type ReferencedCommand } from "../../src/commands/reference.ts";
import { SCHEMAS } from "../../src/schema/index.ts";
import { ROOT } from "../paths.ts";

/** The Markdown of a page without a document, by its file in the site. Links are relative to the repository. */
export async function madePage(file: string): Promise<string> {
  const make = { "commands.html": commandsPage, "examples.html": examplesPage, "schemas.html": schemasPage }[file];
  if (make === undefined) throw new Error(`nothing makes ${file}`);
  return await make();
}

async function commandsPage(): Promise<string> {
  const commands = (await commandReference(pkg.description)).flatMap(flattened);
  const introduction =
    "Made from the same declarations as `--help`, the manual pages and the completions. [Exit codes](docs/exit-codes.md) " +
    "are the same for all.";
  return ["# Commands", introduction, ...commands.map(commandPart)].join("\n\n");
}

function commandPart({ words, summary, spec, commands }: ReferencedCommand): string {
  const title = `## ${words.join(" ")}`;
  if (spec === undefined) {
    const list = commands.map((one) => `- [${one.words.join(" ")}](#${one.words.join("-")}): ${escaped(one.summary)}`);
    return `${title}\n\n${escaped(summary)}\n\n${list.join("\n")}`;
  }
  const positionals = spec.positionals.map(({ name, doc }) => [`\`${name}\``, escaped(doc)]);
  return [
    title,
    escaped(spec.summary),
    `\`\`\`\n${usageLine(spec)}\n\`\`\``,
    positionals.length > 0 ? table("Argument", positionals) : "",
    ...optionTables(spec),
    ...(spec.notes ?? []).map(escaped),
    spec.examples.length > 0 ? fence(spec.examples.map(({ command, doc }) => `# ${doc}\n${command}`).join("\n\n")) : "",
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function optionTables(spec: CommandSpec): string[] {
  const shown = Object.values(spec.options).filter((option) => !(option.kind === "flag" && option.hidden));
  return [...Map.groupBy(shown, ({ group }) => group)].map(([group, options]) =>
    table(
      group,
      options.map((option: Option) => [
        `\`${signature(option).replaceAll("|", "\\|")}\``,
        escaped(withDefault(option)),
      ]),
    ),
  );
}

function table(head: string, rows: readonly (readonly string[])[]): string {
  return [`| ${head} | |`, "| --- | --- |", ...rows.map((row) => `| ${row.join(" | ")} |`)].join("\n");
}

const EXAMPLES: readonly { folder: string; title: string; text: string }[] = [
  {
    folder: "examples",
    title: "Merges",
    text: "On the models that `bun run demo` makes. `sinter plan examples/ties.yml` shows what one would do.",
  },
  { folder: "examples/moe", title: "Mixtures of experts", text: "For [`sinter moe`](docs/moe.md)." },
  { folder: "examples/programs", title: "Other programs", text: "For [the other programs](docs/programs.md)." },
];

function examplesPage(): string {
  const sections = EXAMPLES.map(({ folder, title, text }) => {
    const names = readdirSync(join(ROOT, folder)).filter((name) => /\.ya?ml$/.test(name));
    const parts = names.map(
      (name) => `### ${name}\n\n${fence(readFileSync(join(ROOT, folder, name), "utf8"), "yaml")}`,
    );
    return `## ${title}\n\n${text}\n\n${parts.join("\n\n")}`;
  });
  return ["# Examples", "They are in `examples/` of every release.", ...sections].join("\n\n");
}

function schemasPage(): string {
  const rows = Object.entries(SCHEMAS).map(([name, { doc }]) => {
    const file = name === "architecture" ? "architectures/schema.json" : `schemas/${name}.schema.json`;
    return [`[${name}](${file})`, escaped(doc)];
  });
  const use = "# yaml-language-server: $schema=./schemas/merge.schema.json\nmerge_method: linear";
  return [
    "# JSON Schemas",
    "Of every file that you write and of every line that `--events` writes. `sinter schema KIND` prints the same.",
    table("Schema", rows),
    "An editor with a YAML language server completes and checks a file that begins like this:",
    fence(use, "yaml"),
    "[Configuration](docs/configuration.md) has the same keys in words.",
  ].join("\n\n");
}

function fence(text: string, language = "sh"): string {
  return `\`\`\`${language}\n${text.trimEnd()}\n\`\`\``;
}

/** Text that Markdown takes as it stands. */
function escaped(text: string): string {
  return text.replace(/[\\`*_<>|[\]]/g, "\\$&");
}
