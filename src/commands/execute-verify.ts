import { relative, resolve } from "node:path";
import { type Problem, Report, SinterError } from "../errors.ts";
import { someOf } from "../plan/copies.ts";
import type { MergePlan } from "../plan/types.ts";
import { replan, whyNotReplanned } from "../recipes/replan.ts";
import { MANIFEST_NAME, type Manifest, readManifest } from "../run/manifest.ts";
import { sha256OfFiles } from "../run/sha256.ts";
import { withSignals } from "../run/signals.ts";
import { formatBytes } from "../run/units.ts";
import { checkBytes, checkPlan, checkRecomputed, checkTensors, openStored, type StoredModel } from "../run/verify.ts";
import { checkModel } from "../run/verify-model.ts";
import { checkFiles } from "../run/written-files.ts";
import { loadAddon } from "./execute-merge.ts";
import { shownProgress } from "./progress.ts";
import { printProblems, printSummary } from "./terminal.ts";

export interface VerifyRequest {
  folder: string;
  recompute: boolean;
  sha256: boolean;
  intermediateDir: string | undefined;
  cacheDir: string | undefined;
  architectures: string | undefined;
  /** 0: one per CPU. */
  threads: number;
  quiet: boolean;
  json: boolean;
}

/** One thing that was looked at. */
interface Finding {
  what: "weights" | "values" | "files" | "sha256" | "model" | "recipe" | "bytes";
  /** `skipped`: could not be looked at, for a reason that the text gives. */
  outcome: "ok" | "wrong" | "skipped";
  text: string;
  problems: readonly Problem[];
  /** With `sha256`: of each weight file, by its path in the folder. */
  files?: Readonly<Record<string, string>>;
}

/** Looks at a folder from all sides and prints what was found. @returns the exit code. */
export async function executeVerify(request: VerifyRequest): Promise<number> {
  const findings = await verify(request);
  const wrong = findings.flatMap(({ problems, outcome }) => (outcome === "wrong" ? problems : []));
  printProblems("error", wrong);
  const text = request.quiet ? "" : findings.map(({ what, text }) => `${what.padEnd(8)} ${text}\n`).join("");
  await printSummary({ folder: resolve(request.folder), findings }, text, request.json);
  return wrong.length === 0 ? 0 : 1;
}

async function verify(request: VerifyRequest): Promise<Finding[]> {
  const { folder } = request;
  const report = new Report();
  const manifest = readManifest(folder, report);
  report.throwIfErrors();
  if (manifest === undefined) throw new SinterError(report.errors);
  const stored = openStored(folder, manifest, report);
  report.throwIfErrors();
  if (stored === undefined) throw new SinterError(report.errors);
  const findings = await weightFindings(request, stored, manifest);
  const { finding: ofFiles, wrong } = fileFinding(request, stored, manifest);
  findings.push(ofFiles);
  if (request.sha256) findings.push(await hashFinding(request, stored));
  findings.push(modelFinding(request));
  return [...findings, ...(await recipeFindings(request, manifest, wrong))];
}

function finding(what: Finding["what"], report: Report, text: string): Finding {
  const { errors } = report;
  if (errors.length === 0) return { what, outcome: "ok", text, problems: [] };
  const count = errors.length === 1 ? "one error" : `${errors.length} errors`;
  return { what, outcome: "wrong", text: `${count}, see above`, problems: errors };
}

async function weightFindings(request: VerifyRequest, stored: StoredModel, manifest: Manifest): Promise<Finding[]> {
  const report = new Report();
  checkTensors(stored, manifest, report);
  const broken = await withTools(request, (tools) => checkBytes(stored, manifest, tools, report));
  const bytes = stored.model.weightFiles.reduce((sum, { size }) => sum + size, 0);
  const text = `${manifest.tensors.size} tensors, ${formatBytes(bytes)}: the bytes that the merge wrote`;
  const values: Finding =
    broken.length === 0
      ? { what: "values", outcome: "ok", text: "no NaN, no infinity", problems: [] }
      : { what: "values", outcome: "ok", text: `NaN or infinity in ${someOf(broken)}`, problems: [] };
  return [finding("weights", report, text), values];
}

/** @returns also the names of files that changed. */
function fileFinding(
  { folder }: VerifyRequest,
  stored: StoredModel,
  manifest: Manifest,
): { finding: Finding; wrong: ReadonlySet<string> } {
  const report = new Report();
  const wrong = checkFiles(folder, manifest.files, stored.tensors.values(), report);
  if (manifest.files.size === 0 && report.errors.length === 0) {
    const text = `not checked: Sinter ${manifest.version} noted tensors only${edited(manifest)}`;
    return { finding: { what: "files", outcome: "skipped", text, problems: [] }, wrong };
  }
  const text = `${manifest.files.size}, prose apart: as the merge wrote them, headers included${edited(manifest)}`;
  return { finding: finding("files", report, text), wrong };
}

/** It may be: paths of the recipe on another machine. What it says of tensors and files is checked all the same. */
function edited({ intact }: Manifest): string {
  return intact ? "" : `; ${MANIFEST_NAME} itself was changed since`;
}

async function hashFinding(request: VerifyRequest, { model }: StoredModel): Promise<Finding> {
  const paths = model.weightFiles.map(({ path }) => path);
  const hashes = await withTools(request, ({ addon, signal }) => sha256OfFiles(paths, addon, signal));
  const files = Object.fromEntries([...hashes].map(([path, hash]) => [relative(resolve(request.folder), path), hash]));
  const lines = Object.entries(files).map(([name, hash]) => `${hash}  ${name}`);
  return { what: "sha256", outcome: "ok", text: lines.join(`\n${" ".repeat(9)}`), problems: [], files };
}

function modelFinding({ folder, architectures }: VerifyRequest): Finding {
  const report = new Report();
  const facts = checkModel(folder, architectures, report);
  if (facts === undefined && report.errors.length === 0) {
    return { what: "model", outcome: "skipped", text: "no config.json: tensors of no known family", problems: [] };
  }
  const { family = "", tied = false, rows, largestId } = facts ?? {};
  const tokens = largestId === undefined ? "no tokenizer" : `token ids up to ${largestId}`;
  const vocabulary = rows === undefined ? "" : `, ${rows} rows of embedding, ${tokens}`;
  return finding("model", report, `${family}, complete, head ${tied ? "tied" : "of its own"}${vocabulary}`);
}

async function recipeFindings(
  request: VerifyRequest,
  manifest: Manifest,
  told: ReadonlySet<string>,
): Promise<Finding[]> {
  const { recipe } = manifest;
  const text = recipe === undefined ? "the manifest has none" : whyNotReplanned(recipe);
  if (recipe === undefined || text !== undefined) {
    return [{ what: "recipe", outcome: "skipped", text: text ?? "", problems: [] }];
  }
  let plan: MergePlan;
  try {
    const { cacheDir, architectures, intermediateDir } = request;
    plan = replan(recipe, { cacheDir, architectures, intermediateDir }, new Report());
  } catch (error) {
    if (!(error instanceof SinterError)) throw error;
    const text = `not checked: ${error.problems[0]?.message ?? error.message}`;
    return [{ what: "recipe", outcome: request.recompute ? "wrong" : "skipped", text, problems: error.problems }];
  }
  const report = new Report();
  checkPlan(plan, request.folder, manifest, told, report);
  const found = [finding("recipe", report, `gives this plan and these files (${manifest.plan})`)];
  if (request.recompute && report.errors.length === 0) found.push(await recomputed(request, plan, manifest));
  return found;
}

async function recomputed(request: VerifyRequest, plan: MergePlan, manifest: Manifest): Promise<Finding> {
  const report = new Report();
  if (plan.madeInputs !== undefined && request.intermediateDir === undefined) {
    const names = plan.madeInputs.map(({ model }) => model).join(", ");
    const text = `not computed again: it is made of ${names}: say with --intermediate-dir where they are`;
    return { what: "bytes", outcome: "skipped", text, problems: [] };
  }
  await withTools(request, (tools) => checkRecomputed(plan, manifest, tools, report));
  return finding("bytes", report, "computed again from the recipe: the same");
}

async function withTools<T>(
  { threads, quiet }: VerifyRequest,
  use: (tools: Parameters<typeof checkBytes>[2]) => Promise<T>,
): Promise<T> {
  const addon = loadAddon({ threads, target: "auto" });
  const events = shownProgress(quiet);
  return await withSignals(
    (signal) => use({ addon, signal, events }).finally(() => events.end()),
    undefined,
    "not everything was checked; nothing was changed",
  );
}
