import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Marked } from "marked";
import { ROOT } from "../../scripts/paths.ts";

/** A command line of a page, in the words that a shell makes of it. */
export interface DocumentedCommand {
  page: string;
  line: string;
  words: readonly string[];
}

/** The pages that users read, by their paths in the repository. */
export const PAGES = ["README.md", "CONTRIBUTING.md", "AGENTS.md", "llms.txt"].concat(
  readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
);

export const pageText = (page: string): string => readFileSync(join(ROOT, page), "utf8");

/** A block of code of a page. */
export interface Block {
  /** What stands after the fence; empty where nothing does. */
  language: string;
  text: string;
}

/** All fenced blocks of code of a page, in their order. */
export function everyBlock(page: string): Block[] {
  const found: Block[] = [];
  new Marked()
    .use({
      walkTokens(token) {
        if (token.type === "code" && token.codeBlockStyle !== "indented")
          found.push({ language: token.lang ?? "", text: `${token.text}\n` });
      },
    })
    .parse(pageText(page), { async: false });
  return found;
}

/** Blocks of code of a language; of none where it is empty. */
export function blocks(page: string, language: string): string[] {
  return everyBlock(page).flatMap((block) => (block.language === language ? [block.text] : []));
}

/** The words of a line, as far as documents need it: quotes hold words together. */
export function shellWords(line: string): string[] {
  return line.match(/"[^"]*"|'[^']*'|[^\s"']+/g)?.map((word) => word.replace(/^["']|["']$/g, "")) ?? [];
}

/** Every command line of the programs in blocks for the shell. */
export function commandsOf(page: string): DocumentedCommand[] {
  const text = [...blocks(page, "sh"), ...blocks(page, "")].join("\n").replaceAll("\\\n", " ");
  return text.split("\n").flatMap((line) => {
    const commands = line
      .replace(/^\$ /, "")
      .replace(/(^|\s)#.*$/, "")
      .split(/&&|\|(?!\|)|;/);
    return commands.flatMap((command) => {
      const words = shellWords(command);
      const redirected = words.findIndex((word) => /^[<>]/.test(word));
      const kept = redirected === -1 ? words : words.slice(0, redirected);
      const isProgram = /^(sinter|mergekit-[a-z-]+|bakllama)$/.test(kept[0]?.replace(/^bin\//, "") ?? "");
      return isProgram && !kept.some((word) => /…|[{}<>]/.test(word))
        ? [{ page, line: command.trim(), words: kept }]
        : [];
    });
  });
}

/** What a line may start besides Sinter's programs. */
const TOOLS = ["cmp", "grep", "head", "jq"];

/** What a block says to type: lines of which every command is a program of Sinter or a tool. */
export function linesOf(block: string): string[] {
  return block
    .replaceAll("\\\n", " ")
    .split("\n")
    .map((line) =>
      line
        .replace(/(^|\s)#.*$/, "")
        .trim()
        .replace(/^bin\//, ""),
    )
    .filter((line) => /^((sinter|mergekit-[a-z-]+|bakllama) |cmp )/.test(line) && isRunnable(line));
}

function isRunnable(line: string): boolean {
  return programsOf(line).every(
    (program) => TOOLS.includes(program) || /^(sinter|mergekit-[a-z-]+|bakllama)$/.test(program),
  );
}

/** What a line starts: the first word of each of its commands. Quotes hide what looks like a sign. */
export function programsOf(line: string): string[] {
  const unquoted = line.replace(/"[^"]*"|'[^']*'/g, (text) => "_".repeat(text.length));
  return unquoted.split(/\s(?:&&|\|)\s/).map((command) => shellWords(command)[0] ?? "");
}
