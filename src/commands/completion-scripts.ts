import { bashCompletion } from "./completion-bash.ts";
import { fishCompletion } from "./completion-fish.ts";
import { zshCompletion } from "./completion-zsh.ts";
import type { Option } from "./option.ts";
import type { ReferencedCommand } from "./reference.ts";

const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

/** The text that a shell reads to complete all programs. */
export function completionScript(shell: keyof typeof SCRIPTS, programs: readonly ReferencedCommand[]): string {
  return SCRIPTS[shell](programs);
}

/** One spelling of an option. */
export interface Spelling {
  /** With its dashes. */
  name: string;
  doc: string;
  /** What it takes: nothing, one of some words, a path, a folder, or something that nobody can complete. */
  takes: "nothing" | "path" | "folder" | "other" | readonly string[];
}

/** Words for the first argument of a command, where it is no path. */
export function firstWords(command: ReferencedCommand): readonly string[] {
  return command.spec?.positionals[0]?.words ?? [];
}

/** Every spelling of the options that `--help` shows, and `--help`. */
export function spellings(options: readonly Option[]): Spelling[] {
  const shown = options.filter((option) => !(option.kind === "flag" && option.hidden));
  return [...shown.flatMap(spellingsOf), { name: "--help", doc: "Show what it takes.", takes: "nothing" }];
}

function spellingsOf(option: Option): Spelling[] {
  const { doc } = option;
  const takes = "metavar" in option ? (option.read.words ?? taken(option.metavar)) : "nothing";
  const long = option.kind === "count" ? [] : [`--${option.name}`];
  if (option.kind === "flag" && option.negatable) long.push(`--no-${option.name}`);
  if (option.kind === "value") long.push(...(option.aliases ?? []).map((alias) => `--${alias}`));
  const dashed =
    option.kind === "value" ? [option.dashed] : option.kind === "flag" ? [option.dashed?.on, option.dashed?.off] : [];
  const short = [option.short, ...dashed].flatMap((name) => (name === undefined ? [] : [`-${name}`]));
  return [...long, ...short].map((name) => ({ name, doc, takes }));
}

/** `cpu|cuda|cuda:N` and `NUMBER|auto` name their words; capitals say what kind of thing stands there. */
function taken(metavar: string): Spelling["takes"] {
  const words = metavar.split("|").filter((word) => /^[a-z0-9_-]+$/.test(word));
  if (words.length > 0) return words;
  if (/FOLDER|DIR/.test(metavar)) return "folder";
  return /FILE|PATH|MODEL|OUT|CONFIG/.test(metavar) ? "path" : "other";
}
