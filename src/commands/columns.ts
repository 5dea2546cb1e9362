import { visibleName } from "../visible.ts";

/** Rows of text set in columns, two spaces apart; the last column is as wide as it likes. */
export function columns(given: readonly (readonly string[])[]): string {
  const rows = given.map((row) => row.map(visibleName));
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
