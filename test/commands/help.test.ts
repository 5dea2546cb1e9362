import { expect, test } from "bun:test";
import { spec as architectures } from "../../src/commands/architectures.ts";
import { spec as bench } from "../../src/commands/bench.ts";
import { spec as tokensurgeon } from "../../src/commands/compat/mergekit-tokensurgeon.ts";
import { spec as mergekitYaml } from "../../src/commands/compat/mergekit-yaml.ts";
import { spec as doctor } from "../../src/commands/doctor.ts";
import { spec as evaluate } from "../../src/commands/eval.ts";
import { renderHelp } from "../../src/commands/help.ts";
import { COMMAND_GROUPS, COMMANDS } from "../../src/commands/index.ts";
import { spec as inspect } from "../../src/commands/inspect.ts";
import { spec as merge } from "../../src/commands/merge.ts";
import { spec as methods } from "../../src/commands/methods.ts";
import { spec as moe } from "../../src/commands/moe.ts";
import type { CommandSpec } from "../../src/commands/option.ts";
import { parseCommandLine } from "../../src/commands/parse.ts";
import { spec as plan } from "../../src/commands/plan.ts";

const SPECS: [string, CommandSpec][] = [
  merge,
  plan,
  inspect,
  methods,
  bench,
  evaluate,
  architectures,
  doctor,
  mergekitYaml,
].map((spec) => [spec.name, spec]);

test.each(SPECS)("%s --help shows every option in every form, and its default", (_, spec) => {
  const help = renderHelp(spec).replaceAll(/\s+/g, " ");
  for (const option of Object.values(spec.options)) {
    if (option.kind === "flag" && option.hidden) continue;
    if (option.kind !== "count") expect(help).toContain(`--${option.name}`);
    if (option.kind === "flag" && option.negatable) {
      expect(help).toContain(`--${option.name} / --no-${option.name} ${option.doc}`);
      if (option.default !== undefined) {
        expect(help).toContain(`[default: ${option.default ? "" : "no-"}${option.name}]`);
      }
    }
    if (option.kind === "value") {
      for (const alias of option.aliases ?? []) expect(help).toContain(`--${alias}`);
      if (option.shownDefault !== undefined) expect(help).toContain(`[default: ${option.shownDefault}]`);
    }
    if (option.short !== undefined) expect(help).toMatch(new RegExp(` -${option.short} `));
    expect(help).toContain(option.doc);
  }
});

test.each(SPECS)("the examples of %s parse", (_, spec) => {
  const own = spec.examples.filter(({ command }) => command.startsWith(`${spec.name} `) || command === spec.name);
  expect(own.length).toBeGreaterThan(0);
  for (const { command } of own) {
    const args = command.slice(spec.name.length).split(" ").filter(Boolean);
    expect(parseCommandLine(spec, args).kind).toBe("run");
  }
});

test.each(SPECS)("%s --help fits 100 columns", (_, spec) => {
  for (const line of renderHelp(spec).split("\n")) expect(line.length).toBeLessThanOrEqual(100);
});

test("what is an error, and where bytes may differ, is not told otherwise", () => {
  const surgeon = renderHelp(tokensurgeon).replaceAll(/\s+/g, " ");
  for (const form of ["--cuda / --no-cuda", "--multi-gpu / --no-multi-gpu", "--gpu-rich"]) {
    expect(surgeon).toContain(`${form} An error: rows are computed on the CPU.`);
  }
  expect(surgeon).not.toContain("sinter doctor --measure");
  expect(renderHelp(moe).replaceAll(/\s+/g, " ")).toContain("Same bytes with each, but for routers from hidden states");
});

test("the bench-only switch is not shown", () => {
  expect(renderHelp(merge)).not.toContain("sync");
});

test("sinter --help lists every command once", () => {
  expect(Object.values(COMMAND_GROUPS).flat().toSorted()).toEqual(Object.keys(COMMANDS).toSorted() as never);
});
