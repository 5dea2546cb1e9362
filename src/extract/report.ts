import type { ExtractionBound } from "./bound.ts";
import type { ExtractedModule, ExtractionPlan } from "./types.ts";

/** What an adapter keeps of the fine-tune, for programs. Errors are relative: norm of what is lost over norm of the change. */
export interface ExtractionSummary {
  modules: { module: string; rank: number; energy_kept: number; relative_error: number; iterations: number }[];
  rank: { least: number; most: number };
  /** Of all decomposed modules together. */
  energy_kept: number;
  relative_error: number;
  unchanged: number;
  /** The device that was asked, and how many modules it decomposed: small ones are left to the CPU. */
  device?: { name: string; modules: number };
  saved_whole: string[];
  left_out: string[];
}

export function summaryOf(
  modules: readonly ExtractedModule[],
  extraction: ExtractionPlan,
  device?: string,
): ExtractionSummary {
  const changed = modules.filter(({ energy }) => energy > 0);
  const energy = changed.reduce((sum, module) => sum + module.energy, 0);
  const kept = changed.reduce((sum, module) => sum + module.kept, 0);
  const ranks = changed.map(({ rank }) => rank);
  return {
    modules: changed.map((module) => ({
      module: module.path,
      rank: module.rank,
      energy_kept: module.kept / module.energy,
      relative_error: lost(module.energy, module.kept),
      iterations: module.iterations,
    })),
    rank: ranks.length === 0 ? { least: 0, most: 0 } : { least: Math.min(...ranks), most: Math.max(...ranks) },
    energy_kept: energy === 0 ? 1 : kept / energy,
    relative_error: energy === 0 ? 0 : lost(energy, kept),
    unchanged: modules.length - changed.length,
    ...(device === undefined
      ? {}
      : { device: { name: device, modules: modules.filter(({ onDevice }) => onDevice).length } }),
    saved_whole: extraction.saved.map(({ name }) => name),
    left_out: [...extraction.leftOut],
  };
}

function lost(energy: number, kept: number): number {
  return Math.sqrt(Math.max(0, 1 - kept / energy));
}

/** A line for each kind of module, or for each module, and one for all. */
export function summaryText(summary: ExtractionSummary, each: boolean): string {
  const groups = new Map<string, typeof summary.modules>();
  for (const one of summary.modules) {
    const key = each ? one.module : one.module.slice(one.module.lastIndexOf(".") + 1);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const width = Math.max(8, ...[...groups.keys()].map((name) => name.length));
  const lines = [...groups].map(([name, list]) => {
    const ranks = list.map(({ rank }) => rank);
    const energies = list.map(({ energy_kept }) => energy_kept);
    return `  ${name.padEnd(width)}  ${String(list.length).padStart(4)}  rank ${range(ranks, String)}  energy kept ${range(energies, percent)}`;
  });
  const rest = [
    summary.modules.length === 0
      ? "no module that is decomposed differs from the base"
      : `all ${summary.modules.length} modules: ${percent(summary.energy_kept)} of the energy kept; the adapter loses ` +
        `${percent(summary.relative_error)} of the change's norm`,
    ...(summary.device === undefined ? [] : [`${summary.device.modules} modules decomposed by ${summary.device.name}`]),
    ...(summary.unchanged > 0 ? [`${summary.unchanged} modules are as in the base`] : []),
    ...(summary.saved_whole.length > 0 ? [`${summary.saved_whole.length} tensors saved whole`] : []),
    ...leftOutLines(summary.left_out),
  ];
  return `${[...lines, ...rest].join("\n")}\n`;
}

/** What is known before anything is computed. */
export function boundText(bound: ExtractionBound, bytes: (count: number) => string): string {
  const atMost = bound.exact ? "" : "at most ";
  const ranks = bound.modules.map(({ rank }) => rank);
  const lines = [
    `${bound.modules.length} modules of rank ${atMost}${range(ranks, String)}, ${bound.saved_whole.length} tensors saved whole`,
    `writes ${atMost}${bytes(bound.bytes_written)}, and ${bytes(bound.bytes_beside)} of factors beside it until then`,
    ...leftOutLines(bound.left_out),
  ];
  return `${lines.join("\n")}\n`;
}

function leftOutLines(names: readonly string[]): string[] {
  const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
  return names.length === 0 ? [] : [`left out: ${names.slice(0, 3).join(", ")}${more}`];
}

function range(values: readonly number[], text: (value: number) => string): string {
  const least = values.reduce((a, b) => Math.min(a, b));
  const most = values.reduce((a, b) => Math.max(a, b));
  return text(least) === text(most) ? text(least) : `${text(least)} to ${text(most)}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
