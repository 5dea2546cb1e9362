import { firstWords, type Spelling, spellings } from "./completion-scripts.ts";
import { flattened, type ReferencedCommand } from "./reference.ts";

/** One \`complete\` per command and per option, each with the condition that its command was named before. */
export function fishCompletion(programs: readonly ReferencedCommand[]): string {
  const lines = programs.flatMap((program) => flattened(program).flatMap(linesOf));
  return `# fish completion for Sinter, made by \`sinter completions fish\`.\n${lines.join("\n")}\n`;
}

function linesOf(command: ReferencedCommand): string[] {
  const [program = ""] = command.words;
  const when = condition(command);
  const within = command.commands.map(
    ({ words, summary }) =>
      `complete -c ${program} -f -n ${when} -a ${quoted(words.at(-1) ?? "")} -d ${quoted(summary)}`,
  );
  const words = firstWords(command);
  // Where no argument was given yet: as many words without a dash as the command itself has.
  const none = `test (count (string match -v -- '-*' (commandline -opc))) -eq ${command.words.length}`;
  const first =
    words.length === 0
      ? []
      : [
          `complete -c ${program} -f -n ${when.slice(0, -1)}; and ${none.replaceAll("'", "\\'")}' -a ${quoted(words.join(" "))}`,
        ];
  const options = spellings(Object.values(command.spec?.options ?? {}));
  if (command.words.length === 1 && command.spec === undefined)
    options.push({ name: "--version", doc: "Show the version.", takes: "nothing" });
  return [...within, ...first, ...options.map((option) => `complete -c ${program} -n ${when} ${spelt(option)}`)];
}

/** True where exactly this command's words were typed. */
function condition({ words, commands }: ReferencedCommand): string {
  const seen = words.slice(1).map((word) => `__fish_seen_subcommand_from ${word}`);
  const inner = commands.map(({ words: own }) => own.at(-1)).join(" ");
  const parts = [...seen, ...(inner === "" ? [] : [`not __fish_seen_subcommand_from ${inner}`])];
  return quoted(parts.length === 0 ? "true" : parts.join("; and "));
}

function spelt({ name, doc, takes }: Spelling): string {
  const bare = name.replace(/^-+/, "");
  const form = name.startsWith("--") ? "-l" : bare.length === 1 ? "-s" : "-o";
  return `${form} ${bare}${argument(takes)} -d ${quoted(doc)}`;
}

function argument(takes: Spelling["takes"]): string {
  if (takes === "nothing") return "";
  if (takes === "path") return " -r -F";
  if (takes === "folder") return " -x -a '(__fish_complete_directories)'";
  return takes === "other" ? " -x" : ` -x -a ${quoted(takes.join(" "))}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
