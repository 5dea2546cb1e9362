import { writeFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { Report, SinterError } from "../errors.ts";
import type { Addon } from "../native.ts";
import { planHash } from "../plan/hash.ts";
import type { MergePlan } from "../plan/types.ts";
import { replan, whyNotReplanned } from "../recipes/replan.ts";
import { measureMerge } from "../report/measure.ts";
import { mergePage } from "../report/merge-page.ts";
import type { MergeSpeed } from "../report/sections.ts";
import { onFile } from "../run/file-error.ts";
import { readManifest } from "../run/manifest.ts";
import { progressDisplay, silentProgress } from "../run/progress.ts";
import { withSignals } from "../run/signals.ts";
import { loadAddon } from "./execute-merge.ts";
import { checkPageFile } from "./page-file.ts";
import { writeError } from "./terminal.ts";

export interface ReportRequest {
  folder: string;
  /** Undefined: beside the folder. */
  html: string | undefined;
  intermediateDir: string | undefined;
  cacheDir: string | undefined;
  architectures: string | undefined;
  /** 0: one per CPU. */
  threads: number;
  quiet: boolean;
}

/** Plans the recipe of a folder anew and writes a page on what it did. @returns the exit code. @throws SinterError */
export async function executeReport(request: ReportRequest): Promise<number> {
  const folder = resolve(request.folder);
  const html = request.html ?? `${folder}-report.html`;
  checkPageFile(html);
  const plan = planOf(request);
  const addon = loadAddon({ threads: request.threads, target: "auto" });
  await writeReport({ plan, folder, html, quiet: request.quiet, speed: undefined }, addon);
  return 0;
}

/** The plan that a folder was written by. @throws SinterError where there is none, or the models are others by now. */
function planOf({ folder, ...options }: ReportRequest): MergePlan {
  const report = new Report();
  const manifest = readManifest(resolve(folder), report);
  if (manifest === undefined) throw new SinterError(report.errors);
  const what = manifest.recipe === undefined ? "its manifest has no recipe" : whyNotReplanned(manifest.recipe);
  if (manifest.recipe === undefined || what !== undefined) {
    throw new SinterError({ code: "not-yet-report", message: `not yet: ${what}`, path: folder });
  }
  const plan = replan(manifest.recipe, options, report);
  report.throwIfErrors();
  if (planHash(plan) === manifest.plan) return plan;
  throw new SinterError({
    code: "other-plan",
    message: "the recipe gives another plan by now: models that it names, or Sinter, are not those of the merge",
    path: folder,
    hint: "sinter verify says what differs",
  });
}

export interface WrittenReport {
  plan: MergePlan;
  folder: string;
  html: string;
  quiet: boolean;
  speed: MergeSpeed | undefined;
}

/** Reads output and inputs, and writes the page. @throws SinterError */
export async function writeReport({ plan, folder, html, quiet, speed }: WrittenReport, addon: Addon): Promise<void> {
  const events = quiet ? silentProgress : progressDisplay(process.stderr);
  const measure = await withSignals(
    (signal) => measureMerge(plan, folder, addon, signal, events).finally(() => events.end()),
    undefined,
    "the report was not written",
  );
  const path = resolve(html);
  const page = mergePage({ name: basename(folder), plan, measure, speed });
  onFile("cannot write the page", path, () => writeFileSync(path, page));
  if (!quiet) writeError(`${path} has the report\n`);
}
