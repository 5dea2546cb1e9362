import { firstWords, type Spelling, spellings } from "./completion-scripts.ts";
import { flattened, type ReferencedCommand } from "./reference.ts";

/** One function per command, made of what zsh's \`_arguments\` and \`_describe\` take. */
export function zshCompletion(programs: readonly ReferencedCommand[]): string {
  const names = programs.map(({ words }) => words[0] ?? "");
  const functions = programs.flatMap(flattened).map(functionOf);
  const choices = names.map((name) => `  ${name}) ${functionName([name])} ;;`);
  return `#compdef ${names.join(" ")}
# zsh completion for Sinter, made by \`sinter completions zsh\`.

${functions.join("\n\n")}

case \${service:-sinter} in
${choices.join("\n")}
esac
`;
}

/** None is `_sinter`: that is the file's own name, which zsh would call in its place from the second time on. */
function functionName(words: readonly string[]): string {
  return `_sinter__${words.join("_").replaceAll("-", "_")}`;
}

function functionOf(command: ReferencedCommand): string {
  return `${functionName(command.words)}() {\n${command.commands.length > 0 ? chooser(command) : argumentsOf(command)}\n}`;
}

/** The first word chooses; then the function of that command goes on with the rest. */
function chooser({ words, commands }: ReferencedCommand): string {
  const listed = commands.map(
    ({ words: own, summary }) => `    ${quoted(`${own.at(-1)}:${summary.replaceAll(":", "\\:")}`)}`,
  );
  const cases = commands.map(({ words: own }) => `        ${own.at(-1)}) ${functionName(own)} ;;`);
  return `  local -a commands=(
${listed.join("\n")}
  )
  local curcontext=$curcontext state line
  _arguments -C '(- *)--help[Show what it takes.]'${words.length === 1 ? " '(- *)--version[Show the version.]'" : ""} '1: :->command' '*:: :->rest'
  case $state in
    command) _describe command commands ;;
    rest)
      case $line[1] in
${cases.join("\n")}
      esac
      ;;
  esac`;
}

function argumentsOf(command: ReferencedCommand): string {
  const { spec } = command;
  if (spec === undefined) return "  _files";
  const words = firstWords(command);
  const first = words.length === 0 ? [] : [`    '1:${spec.positionals[0]?.name.toLowerCase()}:(${words.join(" ")})'`];
  const options = spellings(Object.values(spec.options)).map((option) => `    ${quoted(optionSpec(option))}`);
  return `  _arguments -S \\\n${[...options, ...first, "    '*:file:_files'"].join(" \\\n")}`;
}

function optionSpec({ name, doc, takes }: Spelling): string {
  const text = `*${name}${takes !== "nothing" && name.startsWith("--") ? "=" : ""}[${escaped(doc)}]`;
  if (takes === "nothing") return text;
  if (takes === "path") return `${text}:path:_files`;
  if (takes === "folder") return `${text}:folder:_files -/`;
  return takes === "other" ? `${text}:value: ` : `${text}:value:(${takes.join(" ")})`;
}

function escaped(doc: string): string {
  return doc.replace(/[[\]\\]/g, "\\$&");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
