import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { ROOT } from "../../scripts/paths.ts";
import { HOST_LIBRARY } from "../native/host-device.ts";
import { PATIENCE } from "../support/patience.ts";
import { workplace, writeModels } from "./fixture.ts";
import { blocks, linesOf, PAGES, programsOf, shellWords } from "./pages.ts";

const ADDON_BUILT = existsSync(join(ROOT, "build", "Release", "sinter.node"));
const root = mkdtempSync(join(realpathSync(tmpdir()), "sinter-documents-"));

beforeAll(() => writeModels(join(root, "models")), PATIENCE);
afterAll(() => rmSync(root, { recursive: true, force: true }), PATIENCE);

/** Pages whose lines are for a machine with GPUs: here with two in host memory. */
const ON_DEVICES: Readonly<Record<string, Record<string, string>>> = {
  "docs/gpu.md": { SINTER_DEVICE_LIBRARY: HOST_LIBRARY, SINTER_HOST_DEVICE: "devices=2" },
};

function run(folder: string, line: string, machine: Record<string, string> = {}) {
  const env = {
    ...machine,
    PATH: `${join(ROOT, "bin")}:${process.env.PATH}`,
    HOME: folder,
    SINTER_BUN: process.execPath,
    HF_HUB_OFFLINE: "1",
  };
  const command = ["bash", "-o", "pipefail", "-c", line];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: folder, env, stdin: "ignore" });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

/** Commands that write a folder, and commands that read one. */
const WRITERS = /^(sinter (merge|moe|multi|lora|tokens transplant)|mergekit-)/;
const READERS = /^sinter (eval|verify|report|diff|inspect|lora)/;

/** The folder that a line makes: the last that it names. */
function outputOf(line: string): string | undefined {
  return WRITERS.test(line) ? shellWords(line).findLast((word) => /^(\.\/|OUT$)/.test(word)) : undefined;
}

/** Whether the tools that a line starts besides Sinter are here. */
function isInstalled(line: string): boolean {
  return programsOf(line).every(
    (program) => /^(sinter|mergekit-|bakllama)/.test(program) || Bun.which(program) !== null,
  );
}

/** Makes what a block reads without having written it: `./merged` of an earlier part of the page, an adapter. */
function prepare(folder: string, lines: readonly string[]): void {
  const wanted = (path: string) => {
    const first = lines.find((line) => line.includes(path));
    return first !== undefined && READERS.test(first) && outputOf(first) !== path;
  };
  if (wanted("./merged")) expect(run(folder, "sinter merge ties.yml ./merged -q").code).toBe(0);
  if (wanted("./adapter")) symlinkSync(join(root, "models", "demo", "adapter"), join(folder, "adapter"));
}

describe.skipIf(!ADDON_BUILT)("every command line in the documents runs as written", () => {
  for (const page of PAGES) {
    const parts = [...blocks(page, "sh"), ...blocks(page, "")].map(linesOf).filter((lines) => lines.length > 0);
    parts.forEach((lines, i) => {
      test(
        `${page}: ${lines[0]}`,
        () => {
          const folder = workplace(join(root, `${basename(page, ".md")}-${i}`), join(root, "models"));
          writeFileSync(join(folder, "experts.yml"), blocks("docs/moe.md", "yaml")[0] ?? "");
          prepare(folder, lines);
          for (const line of lines.filter(isInstalled)) {
            // Lines of a block may be alternatives, which write the same folder.
            const output = outputOf(line);
            if (output !== undefined) rmSync(join(folder, output), { recursive: true, force: true });
            const { code, err } = run(folder, line, ON_DEVICES[page]);
            expect([line, code, err]).toEqual([line, 0, expect.any(String)]);
          }
        },
        PATIENCE,
      );
    });
  }
});

/** A configuration of a document as a whole one: some show a few keys only. */
const COMPLETED: Readonly<Record<string, string>> = {
  "docs/lora.md": "merge_method: passthrough\n",
};

describe("every configuration in the documents is one that can be planned", () => {
  for (const page of PAGES.filter((one) => one !== "README.md")) {
    blocks(page, "yaml").forEach((text, i) => {
      test(`${page}: ${text.split("\n")[0]}`, () => {
        const folder = workplace(join(root, `${basename(page, ".md")}-yaml-${i}`), join(root, "models"));
        writeFileSync(join(folder, "recipe.yml"), (COMPLETED[page] ?? "") + text);
        const line = page === "docs/moe.md" ? "sinter convert recipe.yml --strict" : "sinter plan recipe.yml --strict";
        symlinkSync(join(root, "models", "demo", "adapter"), join(folder, "adapter"));
        const { code, err } = run(folder, line);
        expect([code, err]).toEqual([0, expect.not.stringContaining("unknown")]);
      });
    });
  }
});

describe("what the README shows is what is printed", () => {
  const shown = (start: string) => blocks("README.md", "").find((block) => block.startsWith(start)) ?? "";
  /** Lines that begin alike, up to where the README leaves something out. */
  const expectShown = (printed: string, text: string) => {
    const lines = printed.trimEnd().split("\n");
    const expected = text.trimEnd().split("\n");
    expect(lines.length).toBe(expected.length);
    expected.forEach((line, i) => {
      const parts = line.split("…").map((part) => part.replace("/sinter/", "/"));
      const pattern = parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*");
      expect(lines[i]).toMatch(new RegExp(`^${pattern}$`));
    });
  };

  test("of a configuration with three slips", () => {
    const folder = workplace(join(root, "README-slips"), join(root, "models"));
    writeFileSync(join(folder, "recipe.yml"), blocks("README.md", "yaml")[0] ?? "");
    const { code, err } = run(folder, "sinter plan recipe.yml");
    expect(code).toBe(1);
    expectShown(err, shown("warning: recipe.yml"));
  });

  for (const block of blocks("README.md", "").filter((one) => one.startsWith("$ "))) {
    const [line = "", ...rest] = block.slice("$ ".length).split("\n");
    test(`of ${line}`, () => {
      const { err } = run(workplace(join(root, "README-shown"), join(root, "models")), line);
      expectShown(err, rest.join("\n"));
    });
  }
});

test.skipIf(!ADDON_BUILT)("docs/library.md: the program merges", () => {
  const folder = workplace(join(root, "library"), join(root, "models"));
  const [program = ""] = blocks("docs/library.md", "ts");
  const file = join(folder, "use.ts");
  writeFileSync(file, program.replace('from "sinter"', `from ${JSON.stringify(join(ROOT, "src", "index.ts"))}`));
  const { exitCode, stdout } = Bun.spawnSync([process.execPath, file], { cwd: folder });
  expect(stdout.toString()).toMatch(/^\d+ tensors, \d+ bytes to read\n\S+\/merged-by-library in [\d.]+ s\n$/);
  expect(exitCode).toBe(0);
  expect(readdirSync(join(folder, "merged-by-library"))).toContain("config.json");
});
