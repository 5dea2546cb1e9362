import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Problem, Report, SinterError } from "../errors.ts";
import { openModel } from "../model/folder.ts";
import { stageHeaders } from "../model/hub/headers.ts";
import { openSession } from "../model/hub/session.ts";
import { hubSettings } from "../model/hub/settings.ts";
import type { MissingModel } from "../model/missing.ts";
import { formatModelPath } from "../model/ref.ts";
import type { Model } from "../model/types.ts";
import { withSignals } from "../run/signals.ts";
import { formatBytes } from "../run/units.ts";
import { printProblems, writeError } from "./terminal.ts";

/**
 * Opens a model that is on the Hub and not here, without its weights: only headers and the tokenizer are received.
 * @param use is given the model, whose files are gone when it returns, its page on the Hub, and whether its tokenizer is there.
 * @throws SinterError where the model cannot be opened; warnings are printed.
 */
export async function withHubHeaders<T>(
  missing: MissingModel,
  cacheDir: string | undefined,
  use: (model: Model, page: string, hasTokenizer: boolean) => Promise<T>,
): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), "sinter-inspect-"));
  const report = new Report();
  let page = dir;
  // The folder is nobody's: messages name the page.
  const moved = (problem: Problem): Problem => ({ ...problem, path: problem.path?.replace(dir, page) });
  try {
    const staged = await withSignals(
      (signal) => stageHeaders(openSession(hubSettings(cacheDir), signal), missing, dir, report),
      undefined,
      "nothing was kept",
    );
    if (staged === undefined) throw new SinterError(report.errors);
    page = staged.url;
    const model = openModel({ ref: { model: { path: dir } } }, { cacheDir }, report);
    printProblems("warning", report.warnings.map(moved));
    if (model === undefined)
      throw new SinterError(report.errors.map((problem) => ({ ...moved(problem), model: missing.id })));
    writeError(`not downloaded: read from the headers on the Hub (${formatBytes(staged.received)})\n`);
    return await use(
      { ...model, name: formatModelPath(missing.path), ref: { model: missing.path } },
      page,
      staged.hasTokenizer,
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
