import { Report } from "../errors.ts";
import { boundOf } from "../extract/bound.ts";
import { type ExtractRequest, prepareExtraction, runExtraction } from "../extract/extract.ts";
import { boundText, summaryText } from "../extract/report.ts";
import { parseModelRef } from "../model/ref.ts";
import { DEFAULT_OPTIONS } from "../plan/types.ts";
import { checkOutput } from "../run/output.ts";
import { withSignals } from "../run/signals.ts";
import { formatBytes, formatSeconds } from "../run/units.ts";
import { loadAddon, type RunRequest } from "./execute-merge.ts";
import { fetchModels } from "./fetch-models.ts";
import type { LoraCache } from "./lora-cache.ts";
import { shownProgress } from "./progress.ts";
import { openSolver } from "./solver.ts";
import { printProblems, printSummary } from "./terminal.ts";

/** Where an extraction finds its models' adapters applied, and where it computes. */
export interface ExtractPlaces {
  /** Where models that have adapters are written with them first; undefined: nowhere. */
  loraCache?: LoraCache | undefined;
  /** The device that decomposes, counted from 0; undefined: the CPU. */
  device?: number | undefined;
  /** Whether only to say what would be written. */
  dryRun?: boolean | undefined;
}

/** How an extraction talks. */
export interface ExtractMessages {
  quiet: boolean;
  json: boolean;
  /** A line for each module, not for each kind. */
  verbose: boolean;
}

/**
 * Extracts an adapter, and prints what it keeps.
 * @param loraCache where models that have adapters are written with them first, if anywhere. @returns the exit code. @throws SinterError
 */
export async function executeExtract(
  request: ExtractRequest,
  engine: RunRequest["engine"],
  messages: ExtractMessages,
  { loraCache, device, dryRun = false }: ExtractPlaces = {},
): Promise<number> {
  const start = performance.now();
  const report = new Report();
  const refs = [request.model, request.baseModel].map(parseModelRef).filter((ref) => typeof ref !== "string");
  const check = (into: Report) => checkOutput(request.out, request.run.force, into);
  let prepared: ReturnType<typeof prepareExtraction>;
  try {
    const policy = { download: true, quiet: messages.quiet, check };
    await fetchModels(
      refs.map((ref) => ({ ref })),
      request.cacheDir,
      policy,
      report,
    );
    const cached = {
      loraCache,
      options: { ...DEFAULT_OPTIONS, cacheDir: request.cacheDir, architectures: request.architectures },
      engine,
    };
    const open = loraCache && (await (await import("./lora-cache.ts")).openThroughCache(refs, cached));
    prepared = prepareExtraction(request, report, open);
  } finally {
    printProblems("warning", report.warnings);
  }
  if (dryRun) {
    const bound = boundOf(request, prepared);
    await printSummary({ dry_run: true, ...bound }, boundText(bound, formatBytes), messages.json);
    return 0;
  }
  const addon = loadAddon(engine);
  const solver = device === undefined ? undefined : openSolver(addon, device);
  const events = shownProgress(messages.quiet);
  const { summary, result } = await withSignals(
    (signal) => runExtraction(request, prepared, { addon, signal, events, solver }).finally(() => events.end()),
    "decompositions are not kept: the same command begins anew",
  );
  printProblems("warning", result.warnings);
  const seconds = (performance.now() - start) / 1000;
  const written = `${result.folder}: ${formatBytes(result.bytesWritten)} in ${formatSeconds(seconds)}\n`;
  const text = messages.quiet ? "" : summaryText(summary, messages.verbose) + written;
  await printSummary({ folder: result.folder, seconds, ...summary }, text, messages.json);
  return 0;
}
