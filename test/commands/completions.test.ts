import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { manualPages } from "../../scripts/manual.ts";
import { completionScript, spellings } from "../../src/commands/completion-scripts.ts";
import { SHELLS } from "../../src/commands/completions.ts";
import { COMMANDS } from "../../src/commands/index.ts";
import { PROGRAMS } from "../../src/commands/programs.ts";
import { commandReference, flattened, type ReferencedCommand } from "../../src/commands/reference.ts";

const folder = mkdtempSync(join(tmpdir(), "sinter-completions-"));
const path = (shell: string) => join(folder, `sinter.${shell}`);
let programs: readonly ReferencedCommand[] = [];

beforeAll(async () => {
  programs = await commandReference(pkg.description);
  for (const shell of SHELLS) writeFileSync(path(shell), completionScript(shell, programs));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the reference of commands", () => {
  test("has every command and every program, each with what it takes", () => {
    const names = programs.flatMap(flattened).map(({ words }) => words.join(" "));
    expect(names).toContain("sinter tokens diff");
    for (const name of Object.keys(COMMANDS)) expect(names).toContain(`sinter ${name}`);
    for (const { words, spec, commands } of programs.flatMap(flattened)) {
      if (commands.length === 0) expect([words, spec?.name]).toEqual([words, words.join(" ")]);
    }
  });

  test("has what bin/ has", () => {
    expect(["sinter", ...Object.keys(PROGRAMS)].toSorted()).toEqual(Object.keys(pkg.bin).toSorted());
  });
});

describe("completion scripts", () => {
  for (const shell of SHELLS) {
    const program = Bun.which(shell);
    test.skipIf(program === null)(`${shell} reads its script`, () => {
      const { exitCode, stderr } = Bun.spawnSync([program as string, "-n", path(shell)]);
      expect([exitCode, stderr.toString()]).toEqual([0, ""]);
    });
  }

  test("every option of every command is in each", async () => {
    for (const shell of SHELLS) {
      const text = await Bun.file(path(shell)).text();
      for (const { spec } of programs.flatMap(flattened)) {
        for (const { name } of spellings(Object.values(spec?.options ?? {}))) {
          expect(text).toContain(shell === "fish" ? ` ${name.replace(/^-+/, "")} ` : name);
        }
      }
    }
  });

  test("bash completes commands, options, their values and paths", () => {
    const complete = (...words: string[]) => {
      const typed = words.map((word) => `'${word}'`).join(" ");
      const script = `source ${path("bash")}; COMP_WORDS=(${typed}); COMP_CWORD=${words.length - 1}; _sinter; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return Bun.spawnSync(["bash", "-c", script], { cwd: folder }).stdout.toString().trim().split("\n");
    };
    expect(complete("sinter", "pl")).toEqual(["plan"]);
    expect(complete("/usr/bin/sinter", "tokens", "d")).toEqual(["diff"]);
    expect(complete("sinter", "merge", "x.yml", "--lm-head", "")).toEqual(["auto", "tied", "materialize"]);
    expect(complete("sinter", "merge", "--out-sh")).toEqual(["--out-shard-size"]);
    expect(complete("mergekit-yaml", "--allow-c")).toEqual(["--allow-crimes"]);
    expect(complete("sinter", "plan", "sinter.b")).toEqual(["sinter.bash"]);
    expect(complete("sinter", "methods", "ti")).toEqual(["ties"]);
    expect(complete("sinter", "eval", "-q", "")).toEqual(["perplexity"]);
    expect(complete("sinter", "eval", "perplexity", "sinter.b")).toEqual(["sinter.bash"]);
    expect(complete("sinter", "merge", "--cpu-target", "=", "arm")).toEqual(["arm64"]);
    expect(complete("sinter", "merge", "--device", "=")).toEqual(["auto", "cpu", "cuda"]);
  });

  const zsh = Bun.which("zsh");
  test.skipIf(zsh === null)("zsh offers what each program takes, whichever was completed before", () => {
    // As compinit loads it: by the file's name, once. What zsh would show is printed.
    const script = `fpath=(${folder}/zsh); autoload -Uz _sinter
_arguments() { print -rl -- "$@"; line=($words); state=(rest); }
for service in sinter mergekit-yaml sinter; do
  print -r "== $service"; words=(methods ti); _sinter
done`;
    mkdirSync(join(folder, "zsh"), { recursive: true });
    writeFileSync(join(folder, "zsh", "_sinter"), readFileSync(path("zsh")));
    const { stdout, stderr } = Bun.spawnSync([zsh as string, "-f", "-c", script]);
    expect(stderr.toString()).toBe("");
    const [, first, second, third] = stdout.toString().split(/== \S+\n/);
    expect(first).toContain("1:name:(passthrough linear slerp ");
    expect(second).toContain("*--lazy-unpickle[");
    expect(second).not.toContain("1:name:");
    expect(third).toBe(first as string);
  });

  const fish = Bun.which("fish");
  test.skipIf(fish === null)("fish completes commands, options and their values", () => {
    const complete = (line: string) => {
      const script = `source ${path("fish")}; complete -C '${line}'`;
      const home = { HOME: folder, PATH: process.env.PATH };
      return Bun.spawnSync([fish as string, "--no-config", "-c", script], { env: home })
        .stdout.toString()
        .trim()
        .split("\n")
        .map((row) => row.split("\t")[0]);
    };
    expect(complete("sinter pl")).toEqual(["plan"]);
    expect(complete("sinter tokens di")).toEqual(["diff"]);
    expect(complete("sinter merge --lm-head ")).toEqual(["auto", "materialize", "tied"]);
    expect(complete("mergekit-yaml --allow-c")).toEqual(["--allow-crimes"]);
    expect(complete("sinter methods ti")).toEqual(["ties"]);
    expect(complete("sinter --vers")).toEqual(["--version"]);
  });
});

describe("manual pages", () => {
  test("there is one per command, with every option", () => {
    const pages = new Map(manualPages(programs).map(({ file, text }) => [file, text]));
    for (const { words, spec } of programs.flatMap(flattened)) {
      const text = pages.get(`${words.join("-")}.1`)?.replaceAll("\\-", "-") ?? "";
      for (const { name } of spellings(Object.values(spec?.options ?? {}))) {
        if (name !== "--help") expect(text).toContain(name);
      }
    }
  });

  const mandoc = Bun.which("mandoc");
  test.skipIf(mandoc === null)("mandoc has nothing against them", () => {
    for (const { text } of manualPages(programs)) {
      const { stdout } = Bun.spawnSync([mandoc as string, "-T", "lint", "-W", "warning"], { stdin: Buffer.from(text) });
      const found = stdout.toString().split("\n");
      // A release has no date that its sources could know.
      expect(found.filter((line) => line !== "" && !line.includes("missing date"))).toEqual([]);
    }
  });
});
