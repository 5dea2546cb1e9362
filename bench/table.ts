import type { Fact } from "./facts.ts";
import type { MergeRow } from "./merge.ts";

/** Most anonymous memory that a merge may take, in bytes. */
const PEAK = 300e6;

const WIDTHS = [28, 7, 9, 9, 7, 9, 9, 7, 8, 10];

export function mergeHeading(): string {
  return columns(["method", "noise", "disk", "seconds", "GB/s", "peak MB", "floor s", "ratio", "target", ""]);
}

export function mergeLine(row: MergeRow): string {
  return columns([
    row.name,
    row.noise.toExponential(),
    row.mode,
    row.seconds.toFixed(2),
    row.gigabytesPerSecond.toFixed(2),
    (row.peakAnonymous / 1e6).toFixed(0),
    row.floorSeconds.toFixed(2),
    row.ratio.toFixed(2),
    row.target.toFixed(2),
    met(row.ratio, row.target),
  ]);
}

export function factLine({ what, value, target, unit }: Fact): string {
  return `${what}: ${value.toFixed(0)} ${unit} (target ${target} ${unit}, ${met(value, target)})`;
}

/** How many targets there are, and which were missed. */
export function verdict(rows: readonly MergeRow[], facts: readonly Fact[]): string {
  const missed = [
    ...rows.filter(({ ratio, target }) => ratio > target).map((row) => `${row.name} ${row.noise} ${row.mode}`),
    ...rows.filter(({ peakAnonymous }) => peakAnonymous > PEAK).map((row) => `${row.name} ${row.noise} memory`),
    ...facts.filter(({ value, target }) => value > target).map(({ what }) => what),
  ];
  const all = 2 * rows.length + facts.length;
  if (missed.length === 0) return `\nAll ${all} targets met.`;
  return `\n${all - missed.length} of ${all} targets met; missed: ${missed.join("; ")}`;
}

function met(value: number, target: number): string {
  return value > target ? "missed" : "met";
}

/** Names to the left, numbers to the right. */
function columns(cells: readonly string[]): string {
  return cells
    .map((cell, i) => (i < 3 ? cell.padEnd(WIDTHS[i] ?? 0) : cell.padStart(WIDTHS[i] ?? 0)))
    .join("")
    .trimEnd();
}
