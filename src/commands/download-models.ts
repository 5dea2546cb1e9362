import { type Problem, Report } from "../errors.ts";
import { type DownloadProgress, download, missingFiles } from "../model/hub/download.ts";
import { type HubSession, openSession, PATIENCE } from "../model/hub/session.ts";
import { hubSettings } from "../model/hub/settings.ts";
import { freeBytes } from "../model/hub/store.ts";
import { type Survey, surveyModels } from "../model/hub/survey.ts";
import type { FoldersOf, MissingModel } from "../model/missing.ts";
import { formatModelPath } from "../model/ref.ts";
import type { Meter, MeterReading } from "../run/progress.ts";
import { withSignals } from "../run/signals.ts";
import { formatBytes } from "../run/units.ts";
import { shownMeter } from "./progress.ts";
import { writeError } from "./terminal.ts";

const KEPT = "what was downloaded is kept: the same command goes on from there";
/** For models that can do without what the Hub may have of them. */
const IMPATIENCE = { ...PATIENCE, tries: 2, triesUnheard: 1 };

/**
 * Downloads models into the cache, with one bar for all of their files.
 * @param report gets the errors; warnings for models that can be used as they are.
 */
export async function downloadModels(
  missing: readonly MissingModel[],
  cacheDir: string | undefined,
  quiet: boolean,
  foldersOf: FoldersOf,
  report: Report,
): Promise<void> {
  const meter = shownMeter("downloading", quiet);
  const display = showDownload(meter, quiet ? () => {} : writeError);
  try {
    await withSignals(async (signal) => {
      const settings = hubSettings(cacheDir);
      const session = openSession(settings, signal, display.wait);
      const surveys = await surveyAll(session, missing, foldersOf, report);
      if (report.errors.length > 0) return;
      checkSpace(session, surveys, report);
      if (report.errors.length > 0) return;
      if (!quiet) writeError(surveys.map((survey) => announcement(session, survey)).join(""));
      await download(session, surveys, display.progress, report);
    }, KEPT);
  } finally {
    meter.end();
  }
}

/** Reports for each model what would be downloaded. */
export async function describeDownload(
  missing: readonly MissingModel[],
  cacheDir: string | undefined,
  foldersOf: FoldersOf,
  report: Report,
): Promise<void> {
  await withSignals(async (signal) => {
    const session = openSession(hubSettings(cacheDir), signal);
    const surveys = await surveyModels(
      session,
      missing.filter((model) => !model.isUsable),
      report,
      foldersOf,
    );
    for (const survey of surveys) report.error(notDownloaded(session, survey));
  });
}

/** Models that lack something must be found; for the others, trouble is a warning. */
async function surveyAll(
  session: HubSession,
  missing: readonly MissingModel[],
  foldersOf: FoldersOf,
  report: Report,
): Promise<Survey[]> {
  const optional = new Report();
  const [needed, wanted] = await Promise.all([
    surveyModels(
      session,
      missing.filter((model) => !model.isUsable),
      report,
      foldersOf,
    ),
    surveyModels(
      { ...session, patience: IMPATIENCE },
      missing.filter((model) => model.isUsable),
      optional,
      foldersOf,
    ),
  ]);
  for (const problem of optional.errors) {
    const message = `the model is in the cache without a tokenizer, and the Hub does not say if it has one: ${problem.message}`;
    report.warn({ ...problem, code: "tokenizer-unknown", message, hint: undefined });
  }
  return [...needed, ...wanted];
}

function checkSpace({ settings }: HubSession, surveys: readonly Survey[], report: Report): void {
  const { bytes } = remaining(settings.cacheDir, surveys);
  const free = freeBytes(settings.cacheDir);
  if (free === undefined || bytes <= free) return;
  report.error({
    code: "disk-too-small",
    message: `the models take ${formatBytes(bytes)} more, but the disk of the Hugging Face cache has ${formatBytes(free)} free`,
    path: settings.cacheDir,
    hint: "free some space, or choose a cache on another disk with --transformers-cache or HF_HUB_CACHE",
  });
}

/** What is left to fetch. */
function remaining(cacheDir: string, surveys: readonly Survey[]): { files: number; bytes: number; begun: number } {
  const missing = missingFiles(cacheDir, surveys);
  const begun = missing.reduce((sum, item) => sum + item.begun, 0);
  const bytes = missing.reduce((sum, { file }) => sum + file.size, 0) - begun;
  return { files: missing.length, bytes, begun };
}

/** Empty where only the commit's folder is to be made. */
function announcement({ settings }: HubSession, survey: Survey): string {
  const { files, bytes, begun } = remaining(settings.cacheDir, [survey]);
  if (files === 0) return "";
  const rest = begun > 0 ? ` (${formatBytes(begun)} are there)` : "";
  return `downloading ${formatModelPath(survey.model.path)}: ${fileCount(files)}, ${formatBytes(bytes)}${rest}\n`;
}

function notDownloaded({ settings }: HubSession, survey: Survey): Problem {
  const { files, bytes } = remaining(settings.cacheDir, [survey]);
  return {
    code: "model-not-downloaded",
    message: `the model is not in the Hugging Face cache: ${fileCount(files)}, ${formatBytes(bytes)} to download`,
    at: survey.model.at,
    model: formatModelPath(survey.model.path),
    path: settings.cacheDir,
    hint: "sinter merge downloads it first, and so does sinter plan with --download",
  };
}

function fileCount(files: number): string {
  return files === 1 ? "1 file" : `${files} files`;
}

/**
 * A meter for bytes that come in and for waits in which none come.
 * @param write for waits before the first byte.
 */
function showDownload(meter: Meter, write: (line: string) => void) {
  let last: MeterReading | undefined;
  return {
    progress({ bytes, totalBytes, earlierBytes, file }: DownloadProgress): void {
      last = { phase: "downloading", bytes, totalBytes, earlierBytes, item: file, waiting: undefined };
      meter.show(last);
    },
    wait(waiting: string | undefined): void {
      if (last !== undefined) meter.show({ ...last, waiting });
      else if (waiting !== undefined) write(`${waiting}\n`);
    },
  };
}
