import { escapeXml } from "./xml.ts";

/** Colours that the page defines as `--series-0` and so on; more series begin again. */
const COLOURS = 8;

/** Dashes of lines: series are told apart without colour, too. */
const DASHES = ["none", "6 3", "2 3", "10 3 2 3"];

export function seriesColour(series: number): string {
  return `var(--series-${series % COLOURS})`;
}

/** As SVG takes it. */
export function seriesDash(series: number): string {
  return DASHES[series % DASHES.length] as string;
}

/** Names of series beside their colours, or beside pieces of their lines. */
export function legend(series: readonly string[], shape: "bars" | "lines" = "bars"): string {
  const entries = series.map((name, i) => {
    const sample =
      shape === "bars"
        ? `<span class="swatch" style="background:${seriesColour(i)}"></span>`
        : `<svg class="swatch" width="26" height="8" aria-hidden="true"><path d="M0 4H26" style="stroke:${seriesColour(i)};stroke-dasharray:${seriesDash(i)}"/></svg>`;
    return `<li>${sample}${escapeXml(name)}</li>`;
  });
  return `<ul class="legend">${entries.join("")}</ul>`;
}
