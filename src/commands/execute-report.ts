import { writeFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { Report, SinterError } from "../errors.ts";
import { sameShape } from "../model/types.ts";
import type { Addon } from "../native.ts";
import { planHash } from "../plan/hash.ts";
import type { MergePlan } from "../plan/types.ts";
import { replan, whyNotReplanned } from "../recipes/replan.ts";
import { measureMerge } from "../report/measure.ts";
import type { MergeSpeed } from "../report/sections.ts";
import { onFile } from "../run/file-error.ts";
import { type Manifest, readManifest } from "../run/manifest.ts";
import { withSignals } from "../run/signals.ts";
import type { RunEvents } from "../run/types.ts";
import { loadAddon } from "./execute-merge.ts";
import { otherPlan } from "./other-plan.ts";
import { checkPageFile } from "./page-file.ts";
import { shownProgress } from "./progress.ts";
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
  const report = new Report();
  const manifest = readManifest(folder, report);
  if (manifest === undefined) throw new SinterError(report.errors);
  const { recipe } = manifest;
  if (recipe === undefined) {
    const message =
      "its manifest has no recipe that this version can read: there is nothing to hold the output against";
    throw new SinterError({ code: "no-recipe", message, path: folder });
  }
  if (recipe.options.loraCache !== undefined) {
    const message =
      "not yet: adapters of the recipe were applied in a cache beforehand, and what they gave is not known here";
    throw new SinterError({ code: "not-yet-report", message, path: folder });
  }
  const addon = () => loadAddon({ threads: request.threads, target: "auto" });
  if (recipe.program === "transplant") {
    const { reportTransplant } = await import("./report-transplant.ts");
    await writePage(html, request.quiet, (signal, events) =>
      reportTransplant(recipe, manifest, request, addon(), signal, events),
    );
  } else {
    const plan = await planOf(manifest, request);
    await writeReport({ plan, folder, html, quiet: request.quiet, speed: undefined }, addon());
  }
  return 0;
}

/** The plan that a folder was written by. @throws SinterError where the models are others by now. */
async function planOf(manifest: Manifest, { folder, ...options }: ReportRequest): Promise<MergePlan> {
  const report = new Report();
  const recipe = manifest.recipe as NonNullable<Manifest["recipe"]>;
  if (whyNotReplanned(recipe) === undefined) {
    const plan = replan(recipe, options, report);
    report.throwIfErrors();
    if (planHash(plan) === manifest.plan) return plan;
    throw otherPlan(folder);
  }
  const { replanMixture } = await import("../recipes/replan-mixture.ts");
  const { plan, routers } = replanMixture(recipe, options, report);
  report.throwIfErrors();
  // The numbers of routers that come from prompts are part of the hash, and not known here.
  const isSame = routers.length === 0 ? planHash(plan) === manifest.plan : sameTensors(plan, manifest);
  if (isSame) return plan;
  throw otherPlan(folder);
}

function sameTensors({ ops }: MergePlan, { tensors }: Manifest): boolean {
  const same = ({ tensor, dtype, shape }: MergePlan["ops"][number]) => {
    const found = tensors.get(tensor);
    return found?.dtype === dtype && sameShape(found.shape, shape);
  };
  return ops.length === tensors.size && ops.every(same);
}

export interface WrittenReport {
  plan: MergePlan;
  folder: string;
  html: string;
  quiet: boolean;
  speed: MergeSpeed | undefined;
}

/** Reads output and inputs, and writes the page. @throws SinterError */
export async function writeReport(request: WrittenReport, addon: Addon): Promise<void> {
  await writePage(request.html, request.quiet, (signal, events) => renderReport(request, addon, signal, events));
}

async function renderReport(
  { plan, folder, speed }: WrittenReport,
  addon: Addon,
  signal: AbortSignal,
  events: RunEvents,
): Promise<string> {
  const name = basename(folder);
  const measure = await measureMerge(plan, folder, addon, signal, events);
  if (plan.recipe?.program !== "moe") {
    const { mergePage } = await import("../report/merge-page.ts");
    return mergePage({ name, plan, measure, speed });
  }
  const { mixturePage } = await import("../report/mixture-page.ts");
  const { measureMixture } = await import("../report/mixture-measure.ts");
  const { readMixtureConfig } = await import("../moe/config.ts");
  const config = readMixtureConfig(plan.recipe.text, "the recipe", { strict: false }, new Report());
  const mixture = await measureMixture(plan, folder, config.experts.length, addon, signal, events);
  return mixturePage({ name, plan, config, measure, mixture, speed });
}

/** Renders a page with progress on the terminal, and writes it. @throws SinterError */
export async function writePage(
  html: string,
  quiet: boolean,
  render: (signal: AbortSignal, events: RunEvents) => Promise<string>,
): Promise<void> {
  const events = shownProgress(quiet);
  const page = await withSignals(
    (signal) => render(signal, events).finally(() => events.end()),
    undefined,
    "the report was not written",
  );
  const path = resolve(html);
  onFile("cannot write the page", path, () => writeFileSync(path, page));
  if (!quiet) writeError(`${path} has the report\n`);
}
