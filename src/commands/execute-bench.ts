import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { benchJson } from "../bench/json.ts";
import { runBench } from "../bench/run.ts";
import { benchText } from "../bench/table.ts";
import type { BenchEvents, BenchRequest } from "../bench/types.ts";
import { checkValues } from "../bench/values.ts";
import { Report } from "../errors.ts";
import { findMethod, methodProblem, methods } from "../methods/index.ts";
import type { MergeMethod } from "../methods/types.ts";
import { parseModelRef } from "../model/ref.ts";
import { onFile } from "../run/file-error.ts";
import { withSignals } from "../run/signals.ts";
import { events } from "./events.ts";
import { loadAddon } from "./execute-merge.ts";
import { fetchModels } from "./fetch-models.ts";
import { checkPageFile } from "./page-file.ts";
import { shownProgress } from "./progress.ts";
import { printProblems, printSummary, writeError } from "./terminal.ts";

export interface BenchCommand extends Omit<BenchRequest, "methods"> {
  /** As the user gave them; none, or `all`: every method. */
  methods: readonly string[];
  /** 0: one per CPU. */
  threads: number;
  /** Bytes of scratch beyond what is free. */
  memory: number;
  json: boolean;
  /** A file for the page. */
  html: string | undefined;
  quiet: boolean;
}

/** Measures and prints; writes the page. @returns the exit code. @throws SinterError with everything that is wrong. */
export async function executeBench(command: BenchCommand): Promise<number> {
  const report = new Report();
  const chosen = chooseMethods(command.methods, report);
  checkValues(command.values, report);
  report.throwIfErrors();
  if (command.html !== undefined) checkPageFile(command.html);
  const addon = loadAddon({ threads: command.threads, target: "auto", memory: command.memory });
  await fetchAll(command, report);
  const request: BenchRequest = { ...command, methods: chosen };
  const result = await withSignals((signal) => runBench(request, addon, signal, stepsShown(command.quiet)));
  printProblems("warning", result.warnings);
  await printSummary(benchJson(result), benchText(result), command.json);
  if (command.html !== undefined) {
    const path = resolve(command.html);
    const { benchPage } = await import("../bench/page.ts");
    onFile("cannot write the page", path, () => writeFileSync(path, benchPage(result)));
    if (!command.quiet) writeError(`${path} has the charts\n`);
  }
  return 0;
}

/** Downloads the models that are not here. What no name of a model is, is reported when they are opened. */
async function fetchAll({ models, base, options, quiet }: BenchCommand, report: Report): Promise<void> {
  const refs = [...models, ...(base === undefined ? [] : [base])].map(parseModelRef);
  const named = refs.flatMap((ref) => (typeof ref === "string" ? [] : [{ ref }]));
  const policy = { download: true, quiet, check: () => {}, definitions: options.architectures };
  await fetchModels(named, options.cacheDir, policy, report);
}

/** In the order of the list of methods, each once. */
function chooseMethods(names: readonly string[], report: Report): readonly MergeMethod[] {
  if (names.length === 0 || names.includes("all")) return methods;
  for (const name of names.filter((candidate) => findMethod(candidate) === undefined)) {
    const { at: _, ...problem } = methodProblem(name, { file: "", line: 0, column: 0 });
    report.error(problem);
  }
  return methods.filter(({ name }) => names.includes(name));
}

/** On a terminal each step has a bar with its title; elsewhere the title is a line of its own. */
function stepsShown(quiet: boolean): BenchEvents {
  const { isTTY } = process.stderr;
  return {
    step(title) {
      events()?.event("step", { title });
      if (!isTTY && !quiet) writeError(`${title}\n`);
      const display = shownProgress(quiet);
      if (!isTTY) return display;
      return {
        progress: (progress) => display.progress({ ...progress, tensor: `${title}  ${progress.tensor}` }),
        end: () => display.end(),
      };
    },
  };
}
