import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { ERROR_CODES_DOC, errorCodesDoc, mentions } from "../../scripts/error-codes.ts";
import { ROOT } from "../../scripts/paths.ts";
import type { CommandSpec, Option } from "../../src/commands/option.ts";
import { parseCommandLine } from "../../src/commands/parse.ts";
import { commandReference, flattened, type ReferencedCommand } from "../../src/commands/reference.ts";
import { commandsOf, PAGES, pageText, shellWords } from "./pages.ts";

const commands = flattenedAll(await commandReference(pkg.description));

function flattenedAll(programs: readonly ReferencedCommand[]): ReferencedCommand[] {
  return programs.flatMap(flattened).toSorted((a, b) => b.words.length - a.words.length);
}

/** The command that a line calls, and its arguments. */
function resolve(words: readonly string[]): [ReferencedCommand | undefined, readonly string[]] {
  const typed = words.map((word, i) => (i === 0 ? word.replace(/^bin\//, "") : word));
  const found = commands.find(({ words: own }) => own.every((word, i) => word === typed[i]));
  return [found, typed.slice(found?.words.length ?? 1)];
}

/** All ways to write an option. */
function optionForms(option: Option): string[] {
  if (option.kind === "count") return [];
  const more =
    option.kind === "value"
      ? (option.aliases ?? [])
      : option.kind === "flag" && option.negatable
        ? [`no-${option.name}`]
        : [];
  return [option.name, ...more].map((name) => `--${name}`);
}

describe("every command line in the documents", () => {
  for (const page of PAGES) {
    test(`${page} is one that the programs take`, () => {
      for (const { line, words } of commandsOf(page)) {
        const [command, args] = resolve(words);
        // It has no options yet: all that it does is to say so.
        if (words[0] === "mergekit-evolve") continue;
        if (command?.spec === undefined)
          expect([line, /^(--version|--help|mergekit-\S+|COMMAND)$/.test(args[0] ?? "--help")]).toEqual([line, true]);
        else expect([line, parseCommandLine(command.spec, args).kind]).toEqual([line, expect.any(String)]);
      }
    });
  }

  /** What is written as code within the text, which may leave arguments out. */
  const spans = (page: string) =>
    [
      ...pageText(page)
        .replace(/^```[\s\S]*?^```$/gm, "")
        .matchAll(/`([^`]+)`/g),
    ].map((match) => (match[1] ?? "").replace(/\s+/g, " "));
  const optionsOf = (spec: CommandSpec | undefined) =>
    new Set(Object.values(spec?.options ?? {}).flatMap((option) => optionForms(option)));
  const everyOption = new Set([...commands.flatMap(({ spec }) => [...optionsOf(spec)]), "--help", "--version"]);
  /** Of other programs: Bun's scripts, compilers, the release. */
  const FOREIGN = new Set(["--yes", "--twice", "--repetitions"]);

  for (const page of PAGES) {
    test(`${page} mentions no command and no option that there is not`, () => {
      for (const span of spans(page)) {
        const words = shellWords(span);
        const isOurs = /^(sinter|mergekit-[a-z-]+|bakllama)$/.test(words[0] ?? "") && words.length > 1;
        const [command] = isOurs ? resolve(words) : [undefined];
        if (isOurs && !words.some((word) => /[…*]/.test(word) || word === "--help"))
          expect([span, command !== undefined]).toEqual([span, true]);
        const known = command?.spec === undefined ? everyOption : optionsOf(command.spec);
        const options = isOurs || words[0]?.startsWith("--") ? words.filter((word) => /^--[a-z]/.test(word)) : [];
        for (const word of options) {
          const name = word.replace(/[=,.].*$/, "");
          if (!FOREIGN.has(name) && name !== "--help")
            expect([page, span, name, known.has(name)]).toEqual([page, span, name, true]);
        }
      }
    });
  }

  test("--help names no file of examples/ that is not there", () => {
    const examples = commands.flatMap(({ spec }) => spec?.examples ?? []).map(({ command }) => command);
    const files = examples.flatMap((command) => command.match(/examples\/\S+\.yml/g) ?? []);
    expect(files.length).toBeGreaterThan(1);
    expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
  });

  test("so is every example of --help", () => {
    for (const { spec } of commands) {
      for (const { command } of spec?.examples ?? []) {
        const words = shellWords(command.replace(/ [>|].*$/, "").replace(/^eval "\$\((.*)\)"$/, "$1"));
        const [found, args] = resolve(words);
        if (found?.spec !== undefined)
          expect([command, parseCommandLine(found.spec, args).kind]).toEqual([command, "run"]);
      }
    }
  });
});

describe("error codes", () => {
  test("docs/error-codes.md has all of them; `bun run docs` writes it anew", () => {
    expect(readFileSync(ERROR_CODES_DOC, "utf8")).toBe(errorCodesDoc());
  });

  test("docs/troubleshooting.md names none that there is not", () => {
    const codes = [...errorCodesDoc().matchAll(/^\| `([a-z0-9-]+)`/gm)].map((match) => match[1] as string);
    const known = new Set([...codes, ...codes.map((code) => `${code.split("-")[0]}-*`)]);
    const rows = pageText("docs/troubleshooting.md")
      .split("\n")
      .filter((line) => line.startsWith("| `"));
    const named = rows.flatMap((row) =>
      [...(row.split("|")[1] ?? "").matchAll(/`([a-z0-9*-]+)`/g)].map((match) => match[1] as string),
    );
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter((code) => !known.has(code))).toEqual([]);
  });

  test("for each of them it is said what to do", () => {
    const rows = errorCodesDoc().match(/^\| `.*$/gm) ?? [];
    expect(rows.length).toBeGreaterThan(200);
    expect(rows.filter((row) => /\|\s*\|$/.test(row))).toEqual([]);
  });

  test("a code, its message and its hint are found in the source, with holes for what is filled in", () => {
    const source = `
      const message = \`the model \${name ?? \`\${a}\`} is \` + "broken";
      report.error({ code: "broken-model", message, at: here({ line }), hint: "mend it" });
      throw new SinterError({ code: far ? "too-far" : "too-near", message: "not here" });
      throw new FormatError("bad-form", \`no \${what}\`);`;
    expect(mentions(source)).toEqual([
      { code: "broken-model", message: "the model … is broken", hint: "mend it" },
      { code: "too-far", message: "not here", hint: undefined },
      { code: "too-near", message: "not here", hint: undefined },
      { code: "bad-form", message: "no …", hint: undefined },
    ]);
  });
});

describe("links", () => {
  for (const page of PAGES) {
    test(`${page} links to files that are there`, () => {
      const targets = [...pageText(page).matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g)].map((match) => match[1] ?? "");
      const local = targets.filter((target) => !/^[a-z]+:/.test(target));
      expect(local.filter((target) => !existsSync(join(ROOT, dirname(page), target)))).toEqual([]);
    });
  }
});
