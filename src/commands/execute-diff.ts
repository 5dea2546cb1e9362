import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { matchesGlob } from "../architecture/glob.ts";
import { diffJson } from "../diff/json.ts";
import { openForDiff } from "../diff/models.ts";
import { pairTensors } from "../diff/pair.ts";
import { runDiff } from "../diff/run.ts";
import { diffText } from "../diff/table.ts";
import type { DiffResult, Pairing } from "../diff/types.ts";
import { readVocabularies } from "../diff/vocabulary.ts";
import { Report, SinterError } from "../errors.ts";
import { onFile } from "../run/file-error.ts";
import { withSignals } from "../run/signals.ts";
import { formatBytes, formatSeconds } from "../run/units.ts";
import { loadAddon } from "./execute-merge.ts";
import { fetchNamed, refOf } from "./fetch-named.ts";
import { checkPageFile } from "./page-file.ts";
import { shownProgress } from "./progress.ts";
import { printProblems, printSummary, writeError } from "./terminal.ts";

export interface DiffRequest {
  left: string;
  right: string;
  base: string | undefined;
  cacheDir: string | undefined;
  architectures: string | undefined;
  filter: readonly string[];
  thresholds: readonly number[];
  by: "module" | "layer" | "tensor";
  top: number | undefined;
  /** A file for the page. */
  html: string | undefined;
  /** 0: one per CPU. */
  threads: number;
  quiet: boolean;
  json: boolean;
}

/** Compares two models and prints what was found. @returns the exit code. @throws SinterError */
export async function executeDiff(request: DiffRequest): Promise<number> {
  const { left, right, base, cacheDir, quiet } = request;
  if (request.html !== undefined) checkPageFile(request.html);
  const refs = [left, right, ...(base === undefined ? [] : [base])].map(refOf);
  const report = new Report();
  await fetchNamed(refs, cacheDir, { quiet, check: () => {}, report });
  const models = openForDiff(refs, request, report);
  report.throwIfErrors();
  if (models === undefined) throw new SinterError(report.errors);
  printProblems("warning", report.warnings);
  const pairing = filtered(pairTensors(models, readVocabularies(models)), request.filter);
  const addon = loadAddon({ threads: request.threads, target: "auto" });
  const events = shownProgress(quiet);
  const result = await withSignals(
    (signal) =>
      runDiff(pairing, { left, right, base }, request.thresholds, addon, signal, events).finally(() => events.end()),
    undefined,
    "the models were not compared",
  );
  const text = diffText(result, { by: request.by, top: request.top ?? 10 });
  await printSummary(diffJson(result, request.top), text, request.json);
  const rate = formatBytes(result.bytesRead / Math.max(result.seconds, 1e-3));
  if (!quiet && !request.json) {
    writeError(`${formatBytes(result.bytesRead)} read in ${formatSeconds(result.seconds)} (${rate}/s)\n`);
  }
  if (request.html !== undefined) await writeDiffPage(result, request.html, request);
  return 0;
}

async function writeDiffPage(result: DiffResult, html: string, { top, quiet }: DiffRequest): Promise<void> {
  const { diffPage } = await import("../diff/page.ts");
  const path = resolve(html);
  const page = diffPage(result, top ?? 20);
  onFile("cannot write the page", path, () => writeFileSync(path, page));
  if (!quiet) writeError(`${path} has the maps\n`);
}

/** @throws SinterError where no tensor is left, or there was none. */
function filtered(pairing: Pairing, patterns: readonly string[]): Pairing {
  const wanted = (tensor: string) => patterns.length === 0 || patterns.some((pattern) => matchesGlob(pattern, tensor));
  const pairs = pairing.pairs.filter(({ tensor }) => wanted(tensor));
  const exact = pairing.exact.filter(({ tensor }) => wanted(tensor));
  if (pairs.length + exact.length === 0) {
    const first = (pairing.pairs[0] ?? pairing.exact[0])?.tensor;
    const none = first === undefined;
    throw new SinterError({
      code: "nothing-to-compare",
      message: none ? "the models have no tensor in common" : `no tensor is called ${patterns.join(" or ")}`,
      hint:
        first === undefined ? "sinter inspect shows what each has" : `names are like ${first}; * stands for any text`,
    });
  }
  return {
    ...pairing,
    pairs,
    exact,
    onlyLeft: pairing.onlyLeft.filter(wanted),
    onlyRight: pairing.onlyRight.filter(wanted),
    notCompared: pairing.notCompared.filter(({ tensor }) => wanted(tensor)),
  };
}
