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

/** Blocks of code of a language; of none where it is empty. */
export function blocks(page: string, language: string): string[] {
  const found: string[] = [];
  new Marked()
    .use({
      walkTokens(token) {
        if (token.type === "code" && token.codeBlockStyle !== "indented" && (token.lang ?? "") === language) {
          found.push(`${token.text}\n`);
        }
      },
    })
    .parse(pageText(page), { async: false });
  return found;
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
