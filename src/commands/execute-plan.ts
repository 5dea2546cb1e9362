import { availableParallelism } from "node:os";
import { basename, resolve } from "node:path";
import { type Problem, Report, SinterError } from "../errors.ts";
import { native } from "../native.ts";
import { gatherCounts } from "../plan/gather.ts";
import { planJson, planText } from "../plan/print.ts";
import type { MergeOp, MergePlan, RowGather } from "../plan/types.ts";
import { chooseDevices, type DeviceRequest, deviceSummary, pinnedMemory } from "../run/devices.ts";
import { peakMemory } from "../run/memory.ts";
import { checkOutput, inspectOutput } from "../run/output.ts";
import { type PlanSource, planMerge } from "./plan-merge.ts";
import { print, printProblems } from "./terminal.ts";

export interface PlanRequest extends PlanSource {
  /** The folder to check, if any. */
  out: string | undefined;
  /** Download models that are not in the cache; else only say what that would be. */
  download?: boolean | undefined;
  force: boolean;
  /** 0: one per CPU. */
  threads: number;
  /** Bytes of scratch that merge would get beyond what is free. */
  memory: number;
  /** What may compute besides the CPU. */
  device?: DeviceRequest | undefined;
  ops: boolean;
  /** No progress of downloads. */
  quiet?: boolean | undefined;
  json: boolean;
}

/** Prints what a merge would do. @returns the exit code. @throws SinterError with everything that merge would refuse. */
export async function executePlan(request: PlanRequest): Promise<number> {
  const report = new Report();
  try {
    const { out, force } = request;
    const check = (into: Report) => {
      if (out !== undefined) checkOutput(out, force, into);
    };
    const models = { download: request.download ?? false, quiet: request.json || request.quiet === true, check };
    const plan = await planMerge(request, basename(resolve(out ?? "merged")), models, report);
    if (out !== undefined) inspectOutput(plan, out, force, report);
    const threads = request.threads === 0 ? availableParallelism() : request.threads;
    const { lines, pinned, warnings } = deviceOutlook(plan, request);
    printProblems("warning", warnings);
    const memory = peakMemory(plan, threads, request.memory) + pinned;
    // A plan whose output folder is refused is worth reading, but a program must not take it for one that can run.
    if (!request.json) await print(planText(plan, memory, lines));
    if (!request.json && request.ops) for (const piece of opsText(plan)) await print(piece);
    report.throwIfErrors();
    if (request.json) {
      const all = { ...plan, warnings: [...plan.warnings, ...warnings] };
      for (const piece of planJson(all, memory, lines)) await print(piece);
    }
    return 0;
  } catch (error) {
    if (error instanceof SinterError) error.warnings = report.warnings;
    throw error;
  }
}

interface Outlook {
  lines: string[];
  /** Bytes of host memory that copies to devices take. */
  pinned: number;
  warnings: readonly Problem[];
}

/** Where merge would compute, without using a device. */
function deviceOutlook(plan: MergePlan, { device, threads }: PlanRequest): Outlook {
  if (device === undefined) return { lines: ["CPU: asked for"], pinned: 0, warnings: [] };
  try {
    const addon = native();
    const use = chooseDevices(device, addon, threads === 0 ? addon.info().cpus : threads);
    return { lines: deviceSummary(plan, use), pinned: pinnedMemory(device, use), warnings: use.warnings };
  } catch (error) {
    if (error instanceof SinterError) throw error;
    // Planning needs no addon.
    return { lines: ["unknown: the native addon does not load"], pinned: 0, warnings: [] };
  }
}

/** For each file of the output a piece. */
function* opsText(plan: MergePlan): Generator<string> {
  for (const [index, shard] of plan.shards.entries()) {
    const lines = shard.ops.flatMap((op) => opLines(plan.ops[op] as MergeOp));
    yield `${index === 0 ? "\n" : ""}${[`${shard.file}:`, ...lines].join("\n")}\n`;
  }
}

function opLines(op: MergeOp): string[] {
  const numbers = op.params.length === 0 ? "" : ` ${op.params.map((value) => Number(value.toPrecision(6))).join(" ")}`;
  return [
    `  ${op.tensor}  ${op.dtype} [${op.shape.join(", ")}]  at ${op.offset}  ${op.kernel}${numbers}`,
    ...op.inputs.map(
      ({ model, tensor, view, gather }) =>
        `    ${model}: ${tensor}  ${view.dtype} [${view.shape.join(", ")}]${gather ? `  ${gatherText(gather)}` : ""}`,
    ),
  ];
}

/** Where the rows of a gathered input come from, in numbers. */
function gatherText(gather: RowGather): string {
  const { own, others, zeros, means } = gatherCounts(gather);
  const parts = [
    [own, "of its own"],
    [others, "of other models"],
    [means, "means"],
    [zeros, "zeros"],
  ] as const;
  return `gathers ${parts.flatMap(([count, what]) => (count > 0 ? [`${count} ${what}`] : [])).join(", ")}`;
}
