import type { MergePlan } from "../plan/types.ts";
import { formatBytes, formatSeconds } from "../run/units.ts";
import type { MeasuredTensor, MergeMeasure } from "./measure.ts";
import type { Fact, Section } from "./page.ts";

/** How fast a merge was. */
export interface MergeSpeed {
  seconds: number;
  bytesRead: number;
  bytesWritten: number;
  threads: number;
  target: string;
}

export const SPEED_NOTE = "Speed is not recorded in an output folder: the option --report writes it here.";

/** More names than these are counted, not listed. */
const LISTED = 20;

export function recipeSection({ recipe }: MergePlan): Section {
  return { title: "Recipe", literal: recipe?.text ?? "The plan has no recipe." };
}

/** Size, seed, the check of values, and speed. @param nonFiniteElsewhere values of tensors that are not among these. */
export function mergeFacts(
  { seed, totals }: MergePlan,
  tensors: readonly MeasuredTensor[],
  speed: MergeSpeed | undefined,
  nonFiniteElsewhere = 0,
): Fact[] {
  const { parameters, bytesWritten } = totals;
  const broken = tensors.reduce((count, { nonFinite }) => count + nonFinite, nonFiniteElsewhere);
  return [
    { name: "Parameters", value: parameters.toLocaleString("en") },
    { name: "Tensors", value: totals.tensors.toLocaleString("en") },
    { name: "Size", value: formatBytes(bytesWritten) },
    { name: "Seed", value: String(seed) },
    broken === 0
      ? { name: "Values", value: "no NaN, no infinity", check: "passed" }
      : { name: "Values", value: `NaN or infinity: ${broken.toLocaleString("en")}`, check: "failed" },
    ...(speed === undefined ? [] : speedFacts(speed)),
  ];
}

function speedFacts({ seconds, bytesRead, bytesWritten, threads, target }: MergeSpeed): Fact[] {
  const rate = formatBytes((bytesRead + bytesWritten) / Math.max(seconds, 1e-3));
  return [
    { name: "Time", value: `${formatSeconds(seconds)}, ${rate}/s` },
    { name: "Read and written", value: `${formatBytes(bytesRead)}, ${formatBytes(bytesWritten)}` },
    { name: "Threads", value: `${threads}, ${target}` },
  ];
}

/** @param elsewhere of tensors that are not among those that were measured. */
export function nonFiniteSection(
  tensors: readonly MeasuredTensor[],
  elsewhere: readonly { tensor: string; count: number }[] = [],
): Section {
  const title = "NaN and infinity";
  const items = [
    ...elsewhere.filter(({ count }) => count > 0).map(({ tensor, count }) => `${tensor}: ${count} elements`),
    ...tensors
      .filter((tensor) => tensor.nonFinite > 0)
      .map(({ op, nonFinite: count, elements }) => `${op.tensor}: ${count} of ${elements} elements`),
  ];
  if (items.length > 0) return { title, items: some(items) };
  return { title, text: `All ${tensors.length + elsewhere.length} tensors of the output that were read are finite.` };
}

export function warnings(plan: MergePlan): Section[] {
  const items = plan.warnings.map(({ message, tensor }) => (tensor ? `${tensor}: ${message}` : message));
  return items.length === 0 ? [] : [{ title: "Warnings", items }];
}

export function notCompared({ notCompared: left }: Pick<MergeMeasure, "notCompared">): Section[] {
  if (left.length === 0) return [];
  return [{ title: "Not compared", items: some(left.map(({ tensor, reason }) => `${tensor}: ${reason}`)) }];
}

export function some(items: readonly string[]): string[] {
  const rest = items.length - LISTED;
  return rest > 0 ? [...items.slice(0, LISTED), `and ${rest} more`] : [...items];
}
