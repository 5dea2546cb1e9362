/** Every block of code in the documents is run, planned, or held to what is printed: here it stands by what. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { ROOT } from "../../scripts/paths.ts";
import { type Block, everyBlock, linesOf, PAGES } from "./pages.ts";

/** Where blocks that are no command lines of Sinter are tried: by their page and language, or how they begin. */
const TRIED: readonly (readonly [page: string, start: string, by: string])[] = [
  ["README.md", "warning: recipe.yml", "test/docs/examples-run.test.ts"],
  ["README.md", "merge_method: tise", "test/docs/examples-run.test.ts"],
  ["README.md", "$ mergekit-evolve", "test/docs/examples-run.test.ts"],
  ["README.md", "tied ", "test/docs/shown.test.ts"],
  ["CONTRIBUTING.md", "cmake -S", ".ci/run"],
  ["CONTRIBUTING.md", "tar -xzf dist", "scripts/release/trial.ts"],
  ["docs/architectures.md", "$ sinter inspect", "test/docs/shown.test.ts"],
  ["docs/architectures.md", "{", "test/architecture/docs.test.ts"],
  ["docs/bench.md", "SECONDS", "test/docs/shown.test.ts"],
  ["docs/durability.md", "$ sinter merge", "test/faults/faults.test.ts"],
  ["docs/durability.md", "warning: begins anew", "test/faults/faults.test.ts"],
  ["docs/forward.md", "./merged: perplexity", "test/docs/shown.test.ts"],
  ["docs/forward.md", "perplexity on a short text", "test/docs/shown.test.ts"],
  ["docs/forward.md", "import", "test/docs/shown.test.ts"],
  ["docs/from-mergekit.md", "tar -xzf", "test/release/install.test.ts"],
  ["docs/install.md", "tar -xzf", "test/release/install.test.ts"],
  ["docs/install.md", "sudo tar", "test/release/install.test.ts"],
  ["docs/install.md", "npm install", "test/release/install.test.ts"],
  ["docs/install.md", "sha256sum", "test/release/install.test.ts"],
  ["docs/install.md", 'eval "$(sinter', "test/release/install.test.ts"],
  ["docs/library.md", "import", "test/docs/examples-run.test.ts"],
  ["docs/manifest.md", "{", "test/docs/shown.test.ts"],
];

/** What is no example: nothing that one could type, and nothing that Sinter prints. */
const DRAWN: readonly (readonly [page: string, start: string])[] = [
  ["README.md", "KeyError"],
  ["docs/architecture.md", "recipe.yml ──"],
  ["docs/gpu.md", "CPU     bytes"],
  ["docs/hub.md", "hub/"],
];

/** A line for those who change Sinter: one of its scripts, on Bun or by way of npm's. */
function isScript(line: string): boolean {
  const [, bun, script] = /^(?:npx --yes bun@([\d.]+)|bun) run ([a-z:]+)( |$)/.exec(line) ?? [];
  return (
    script !== undefined &&
    Object.hasOwn(pkg.scripts, script) &&
    (bun ?? pkg.devDependencies["bun-types"]) === pkg.devDependencies["bun-types"]
  );
}

const commands = ({ text }: Block) =>
  text
    .replaceAll("\\\n", " ")
    .split("\n")
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
    .filter((line) => line !== "");

/** By what a block is tried; undefined where by nothing. */
function triedBy(page: string, block: Block): string | undefined {
  const begins = ([where, start]: readonly [string, string, ...string[]]) =>
    where === page && block.text.trimStart().startsWith(start);
  const named = TRIED.find(begins);
  if (named !== undefined) return named[2];
  if (DRAWN.some(begins)) return "nothing to try";
  if (block.language === "yaml") return "test/docs/examples-run.test.ts";
  if (block.language !== "sh" && block.language !== "") return undefined;
  const lines = commands(block);
  const run = new Set(linesOf(block.text));
  const known = lines.every(
    (line) => run.has(line.replace(/^bin\//, "")) || isScript(line) || line === 'export PATH="$PWD/bin:$PATH"',
  );
  return known && lines.length > 0 ? "test/docs/examples-run.test.ts" : undefined;
}

describe("every block of code is tried by something", () => {
  for (const page of PAGES) {
    test(page, () => {
      const left = everyBlock(page).filter((block) => triedBy(page, block) === undefined);
      expect(left.map(({ text }) => text)).toEqual([]);
    });
  }

  test("what is said to try them is there, and speaks of the page", () => {
    for (const [page, start, by] of TRIED) {
      expect([page, start, everyBlock(page).some(({ text }) => text.trimStart().startsWith(start))]).toEqual([
        page,
        start,
        true,
      ]);
      const text = existsSync(join(ROOT, by)) ? readFileSync(join(ROOT, by), "utf8") : "";
      expect([by, page, by.startsWith(".ci") || text.includes(page)]).toEqual([by, page, true]);
    }
  });
});
