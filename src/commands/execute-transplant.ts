import { Report, SinterError } from "../errors.ts";
import type { Addon } from "../native.ts";
import type { MergeOptions } from "../plan/types.ts";
import { checkOutput, inspectOutput } from "../run/output.ts";
import { runPlan } from "../run/run.ts";
import { type ScratchFolder, scratchFolder } from "../run/scratch.ts";
import { withSignals } from "../run/signals.ts";
import { formatSeconds } from "../run/units.ts";
import { planAppliedRows, writeAppliedRows } from "../transplant/applied-rows.ts";
import { computeApproximations, findTrained } from "../transplant/compute.ts";
import { type MatrixPlan, planMatrices } from "../transplant/matrices.ts";
import type { TransplantOptions } from "../transplant/methods.ts";
import { openTokenModel, type TokenModel } from "../transplant/models.ts";
import { planTransplant, type TransplantPlan } from "../transplant/plan.ts";
import { displayOf, loadAddon, type MergeRequest } from "./execute-merge.ts";
import { fetchNamed, refOf } from "./fetch-named.ts";
import { shownMeter } from "./progress.ts";
import { printProblems, printSummary, writeError } from "./terminal.ts";

/** One transplant, whichever command asked for it. */
export interface TransplantRequest extends Pick<MergeRequest, "out" | "loraCache" | "run" | "engine" | "messages"> {
  model: string;
  donor: string;
  transplant: TransplantOptions;
  options: MergeOptions;
  /** The file of a page on what was done. */
  report?: string | undefined;
}

/**
 * Opens both models, finds out where each row comes from, approximates and writes; prints warnings, progress and a
 * summary. @returns the exit code. @throws SinterError with everything that is wrong.
 */
export async function executeTransplant(request: TransplantRequest): Promise<number> {
  const start = performance.now();
  const report = new Report();
  if (request.report !== undefined) (await import("./page-file.ts")).checkPageFile(request.report);
  try {
    const opened = await openBoth(request, report);
    const [original, donor] = opened.map((one) => planAppliedRows(one, request.out)) as [Applied, Applied];
    // With --magikarp once more, when it is known which rows look trained.
    const matrices = planMatrices(original.model, donor.model, request.transplant, undefined, report);
    checkOutput(request.out, request.run.force, report);
    report.throwIfErrors();
    const addon = loadAddon(request.engine);
    const scratch = scratchFolder(request.out, addon);
    try {
      return await withSignals(async (signal) => {
        await writeAppliedRows([...original.rows, ...donor.rows], scratch, addon);
        return await transplant(original.model, donor.model, request, {
          addon,
          scratch,
          signal,
          report,
          start,
          matrices,
        });
      });
    } finally {
      scratch.release();
    }
  } finally {
    printProblems("warning", report.warnings);
  }
}

type Applied = ReturnType<typeof planAppliedRows>;

interface Context {
  addon: Addon;
  scratch: ScratchFolder;
  signal: AbortSignal;
  report: Report;
  start: number;
  /** As they are without a look at the rows. */
  matrices: readonly MatrixPlan[];
}

async function transplant(
  original: TokenModel,
  donor: TokenModel,
  request: TransplantRequest,
  { addon, scratch, signal, report, start, matrices: untried }: Context,
): Promise<number> {
  const { transplant: options, out, messages } = request;
  const trained = options.magikarp ? await findTrained(original, donor, addon) : undefined;
  signal.throwIfAborted();
  const matrices = trained === undefined ? untried : planMatrices(original, donor, options, trained, report);
  reportRows(matrices, donor, report);
  report.throwIfErrors();
  const plan = planTransplant(original, donor, matrices, options, request.options, out, report);
  inspectOutput(plan.merge, out, request.run.force, report);
  report.throwIfErrors();
  if (messages.plan) {
    const { planText } = await import("../plan/print.ts");
    writeError(planText(plan.merge));
  }
  if (!messages.quiet) writeError(matrices.map(breakdown).join(""));
  await approximate(plan, original, donor, request, { addon, scratch, signal });
  const display = displayOf(request);
  const result = await runPlan(plan.merge, out, { ...request.run, signal }, addon, display).finally(() =>
    display.end(),
  );
  for (const warning of result.warnings) report.warn(warning);
  const text = messages.quiet ? "" : `${result.folder}: done in ${formatSeconds(seconds(start))}\n`;
  await printSummary(summaryOf(plan, matrices, result.folder, start, report), text, messages.json);
  if (request.report !== undefined) {
    const { threads, target } = addon.info();
    const { bytesRead, bytesWritten } = result;
    const speed = { seconds: seconds(start), bytesRead, bytesWritten, threads, target };
    const written = { plan: plan.merge, matrices, donor, folder: result.folder, speed };
    const { renderTransplant } = await import("./report-transplant.ts");
    const { writePage } = await import("./execute-report.ts");
    await writePage(request.report, messages.quiet, (own, events) => renderTransplant(written, addon, own, events));
  }
  return 0;
}

async function openBoth(request: TransplantRequest, report: Report): Promise<[TokenModel, TokenModel]> {
  const { model, donor, options, out, run, messages } = request;
  const refs = [refOf(model), refOf(donor)] as const;
  await fetchNamed([...refs], options.cacheDir, {
    quiet: messages.quiet,
    check: (into) => checkOutput(out, run.force, into),
    report,
  });
  const open = request.loraCache && (await (await import("./lora-cache.ts")).openThroughCache(refs, request));
  const [first, second] = refs.map((ref) => openTokenModel(ref, options, report, open));
  report.throwIfErrors();
  if (first === undefined || second === undefined) throw new SinterError(report.errors);
  return [first, second];
}

async function approximate(
  plan: TransplantPlan,
  original: TokenModel,
  donor: TokenModel,
  { transplant: options, messages }: TransplantRequest,
  { addon, scratch, signal }: Pick<Context, "addon" | "scratch" | "signal">,
): Promise<void> {
  const meter = shownMeter("approximating", messages.quiet);
  const progress = ({ tensor, done, total }: { tensor: string; done: number; total: number }) => {
    if (total > 0) {
      meter.show({ unit: "steps", bytes: done, totalBytes: total, earlierBytes: 0, item: tensor, waiting: undefined });
    }
  };
  try {
    await computeApproximations(plan, original, donor, options, scratch, addon, { signal, progress });
  } finally {
    meter.end();
  }
}

/** `model.embed_tokens.weight: 268 tokens as they are, 30 approximated`. */
function breakdown({ tensor, assignment: { counts } }: MatrixPlan): string {
  const parts = [
    `${counts.exact} tokens as they are`,
    ...(counts.byte > 0 ? [`${counts.byte} by their byte`] : []),
    ...(counts.prefix > 0 ? [`${counts.prefix} by a prefix`] : []),
    `${counts.approximated} approximated`,
    ...(counts.zero > 0 ? [`${counts.zero} zero`] : []),
  ];
  return `${tensor}: ${parts.join(", ")}\n`;
}

/** Tokens without a row to go by get zeros: the user should know. */
function reportRows(matrices: readonly MatrixPlan[], donor: TokenModel, report: Report): void {
  for (const { tensor, donor: view, assignment } of matrices) {
    const rows = view?.shape[0];
    if (rows === undefined || assignment.counts.zero === 0) continue;
    const beyond = donor.vocabulary.tokens.filter(({ id }) => id >= rows);
    if (beyond.length === 0) continue;
    report.warn({
      code: "tokens-without-rows",
      message:
        `${beyond.length} tokens of the tokenizer have ids beyond the ${rows} rows of its model, from ` +
        `${donor.vocabulary.spelling.get(beyond[0]?.id ?? 0)} on: those that the other model lacks get zeros`,
      model: donor.model.name,
      tensor,
    });
  }
}

function seconds(start: number): number {
  return (performance.now() - start) / 1000;
}

function summaryOf(
  { merge }: TransplantPlan,
  matrices: readonly MatrixPlan[],
  folder: string,
  start: number,
  report: Report,
): object {
  return {
    folder,
    method: merge.method,
    seed: merge.seed,
    tokens: Object.fromEntries(matrices.map(({ tensor, assignment }) => [tensor, assignment.counts])),
    tensors: merge.totals.tensors,
    parameters: merge.totals.parameters,
    seconds: seconds(start),
    files: merge.shards.map((shard) => shard.file),
    warnings: report.warnings,
  };
}
