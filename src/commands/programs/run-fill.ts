import { Report, SinterError } from "../../errors.ts";
import { openRawReference } from "../../lora/open.ts";
import { type ModelRef, parseModelRef } from "../../model/ref.ts";
import { buildFillPlan } from "../../plan/fill.ts";
import type { MergeOptions, MergePlan } from "../../plan/types.ts";
import { checkOutput } from "../../run/output.ts";
import { carryOut, type RunRequest } from "../execute-merge.ts";
import { fetchModels } from "../fetch-models.ts";
import { UsageError } from "../parse.ts";
import { printProblems } from "../terminal.ts";

/** Fills a model up. @returns the exit code. */
export async function runFill(
  models: { base: string; part: string },
  options: MergeOptions,
  request: RunRequest,
): Promise<number> {
  const base = { ref: modelRef(models.base) };
  const part = { ref: modelRef(models.part) };
  const report = new Report();
  const check = (into: Report) => checkOutput(request.out, request.run.force, into);
  const policy = { download: true, quiet: request.messages.quiet, check };
  await fetchModels([base, part], options.cacheDir, policy, report);
  return await carryOut(planFill(base, part, options, report), request);
}

/** Warnings are printed. @throws SinterError with everything that is wrong. */
export function planFill(
  base: { ref: ModelRef },
  part: { ref: ModelRef },
  options: MergeOptions,
  report: Report,
): MergePlan {
  try {
    const opened = [base, part].map((named) => openRawReference(named, options, report));
    report.throwIfErrors();
    const [whole, own] = opened;
    if (whole === undefined || own === undefined) throw new SinterError(report.errors);
    return buildFillPlan(whole, own, options, report);
  } finally {
    printProblems("warning", report.warnings);
  }
}

function modelRef(text: string): ModelRef {
  const ref = parseModelRef(text);
  if (typeof ref === "string") throw new UsageError({ code: "bad-model", message: ref });
  return ref;
}
