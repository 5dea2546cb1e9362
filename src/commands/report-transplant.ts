import { basename, resolve } from "node:path";
import { Report, SinterError } from "../errors.ts";
import type { Addon } from "../native.ts";
import { planHash } from "../plan/hash.ts";
import { DEFAULT_OPTIONS, type MergePlan, type Recipe } from "../plan/types.ts";
import { measureMerge } from "../report/measure.ts";
import type { MergeSpeed } from "../report/sections.ts";
import { measureMatrices } from "../report/transplant-measure.ts";
import { transplantPage } from "../report/transplant-page.ts";
import type { Manifest } from "../run/manifest.ts";
import { scratchFolder } from "../run/scratch.ts";
import type { RunEvents } from "../run/types.ts";
import { planAppliedRows, writeAppliedRows } from "../transplant/applied-rows.ts";
import { findTrained } from "../transplant/compute.ts";
import { type MatrixPlan, planMatrices } from "../transplant/matrices.ts";
import { openTokenModel, type TokenModel } from "../transplant/models.ts";
import { planTransplant } from "../transplant/plan.ts";
import { readTransplantRecipe } from "../transplant/recipe.ts";
import type { ReportRequest } from "./execute-report.ts";
import { otherPlan } from "./other-plan.ts";

/** A transplant that was written, and what it was planned from. */
export interface WrittenTransplant {
  plan: MergePlan;
  matrices: readonly MatrixPlan[];
  donor: TokenModel;
  folder: string;
  speed: MergeSpeed | undefined;
}

/** Reads the output beside the models. @returns the page. @throws SinterError */
export async function renderTransplant(
  { plan, matrices, donor, folder, speed }: WrittenTransplant,
  addon: Addon,
  signal: AbortSignal,
  events: RunEvents,
): Promise<string> {
  const ofTokens = new Set(matrices.map(({ tensor }) => tensor));
  const others = { ...plan, ops: plan.ops.filter(({ tensor }) => !ofTokens.has(tensor)) };
  const measure = await measureMerge(others, folder, addon, signal, events);
  const rows = await measureMatrices(plan, folder, matrices, addon, signal, events);
  const { spelling } = donor.vocabulary;
  return transplantPage({ name: basename(folder), plan, matrices, spelling, measure, rows, speed });
}

/** Plans the recipe of a transplant anew, and reads what it wrote. @returns the page. @throws SinterError */
export async function reportTransplant(
  recipe: Recipe,
  manifest: Manifest,
  { folder, cacheDir, architectures }: ReportRequest,
  addon: Addon,
  signal: AbortSignal,
  events: RunEvents,
): Promise<string> {
  const report = new Report();
  const read = readTransplantRecipe(recipe, report);
  const opened =
    read && [read.model, read.donor].map((ref) => openTokenModel(ref, { cacheDir, architectures }, report));
  report.throwIfErrors();
  const [model, from] = opened ?? [];
  if (read === undefined || model === undefined || from === undefined) throw new SinterError(report.errors);
  const scratch = scratchFolder(folder, addon);
  try {
    const [original, donor] = [planAppliedRows(model, folder), planAppliedRows(from, folder)];
    await writeAppliedRows([...original.rows, ...donor.rows], scratch, addon);
    const trained = read.options.magikarp ? await findTrained(original.model, donor.model, addon) : undefined;
    const matrices = planMatrices(original.model, donor.model, read.options, trained, report);
    report.throwIfErrors();
    const { tensors: _, expertLayout: __, loraCache: ___, ...recorded } = recipe.options;
    const options = { ...DEFAULT_OPTIONS, ...recorded, cacheDir, architectures };
    const plan = planTransplant(original.model, donor.model, matrices, read.options, options, folder, report).merge;
    report.throwIfErrors();
    if (planHash(plan) !== manifest.plan) throw otherPlan(folder);
    const written = { plan, matrices, donor: donor.model, folder: resolve(folder), speed: undefined };
    return await renderTransplant(written, addon, signal, events);
  } finally {
    scratch.release();
  }
}
