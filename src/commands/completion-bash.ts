import { firstWords, type Spelling, spellings } from "./completion-scripts.ts";
import { flattened, type ReferencedCommand } from "./reference.ts";

/** A function that finds the command among the words before, and offers its options, their values, or paths. */
export function bashCompletion(programs: readonly ReferencedCommand[]): string {
  const commands = programs.flatMap(flattened);
  const parents = commands.filter(({ commands: within }) => within.length > 0);
  const choosers = commands.filter((command) => firstWords(command).length > 0);
  const names = programs.map(({ words }) => words[0]).join(" ");
  return `# bash completion for Sinter, made by \`sinter completions bash\`.
_sinter() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} word command i given=0
  COMPREPLY=()
  # Shells cut --option=value at the sign.
  if [[ $current == = ]]; then
    current=
  elif [[ $before == = ]]; then
    before=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  command=\${COMP_WORDS[0]##*/}
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$command $word" in
${parents.map(({ commands: within }) => `      ${within.map(({ words }) => quoted(words.join(" "))).join(" | ")}) command="$command $word" ;;`).join("\n")}
      *) if [[ $word != -* ]]; then given=$((given + 1)); fi ;;
    esac
  done
  case "$command $before" in
${commands.flatMap(valueCases).join("\n")}
  esac
  case "$command" in
${parents.map((parent) => `    ${quoted(parent.words.join(" "))}) COMPREPLY=($(compgen -W "${wordsWithin(parent)}" -- "$current")); return ;;`).join("\n")}
  esac
  if [[ $current == -* ]]; then
    case "$command" in
${commands.flatMap(optionCase).join("\n")}
    esac
    return
  fi
  if ((given == 0)); then
    case "$command" in
${choosers.map((one) => `      ${quoted(one.words.join(" "))}) COMPREPLY=($(compgen -W "${firstWords(one).join(" ")}" -- "$current")); return ;;`).join("\n")}
    esac
  fi
  COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _sinter ${names}
`;
}

function quoted(text: string): string {
  return `"${text}"`;
}

function wordsWithin({ words, commands }: ReferencedCommand): string {
  const own = commands.map(({ words: inner }) => inner.at(-1));
  return [...own, "--help", ...(words.length === 1 ? ["--version"] : [])].join(" ");
}

function valueCases({ words, spec }: ReferencedCommand): string[] {
  if (spec === undefined) return [];
  const command = words.join(" ");
  return spellings(Object.values(spec.options)).flatMap(({ name, takes }) => {
    const reply = replyOf(takes);
    return reply === undefined ? [] : [`    "${command} ${name}") COMPREPLY=(${reply}); return ;;`];
  });
}

function replyOf(takes: Spelling["takes"]): string | undefined {
  if (takes === "nothing") return undefined;
  if (takes === "path") return '$(compgen -f -- "$current")';
  if (takes === "folder") return '$(compgen -d -- "$current")';
  return takes === "other" ? "" : `$(compgen -W "${takes.join(" ")}" -- "$current")`;
}

function optionCase({ words, spec }: ReferencedCommand): string[] {
  if (spec === undefined) return [];
  const names = spellings(Object.values(spec.options)).map(({ name }) => name);
  return [`      "${words.join(" ")}") COMPREPLY=($(compgen -W "${names.join(" ")}" -- "$current")) ;;`];
}
