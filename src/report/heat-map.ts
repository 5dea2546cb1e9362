import { drawGrid, type Grid, HATCHED } from "./grid.ts";
import { STEPS } from "./palette.ts";
import { escapeXml } from "./xml.ts";

/** A value of a heat map; NaN where there is no such number. */
export type Cell = number | undefined;

export interface HeatMap extends Grid {
  /** By column, then by row; undefined where there is nothing. */
  cells: readonly (readonly Cell[])[];
  scale: ColourScale;
}

export interface ColourScale {
  /** `share`: from 0 to `top`. `signed`: two colours from 0, to `-top` and `top`. */
  kind: "share" | "signed";
  /** The value of full colour; larger ones have it, too. */
  top: number;
  /** How values are written. */
  format: (value: number) => string;
  /** Whether some values are larger than `top`, and whether some are none. */
  exceeded: boolean;
  hasNone: boolean;
}

/**
 * The scale of several maps that are to be compared. One value that is far beyond all others would leave them without
 * colour, so it does not count.
 */
export function colourScale(
  kind: ColourScale["kind"],
  values: readonly number[],
  format: (value: number) => string,
  fixedTop?: number,
): ColourScale {
  const sizes = values.filter(Number.isFinite).map(Math.abs);
  const sorted = Float64Array.from(sizes).sort();
  const most = sorted.at(-1) ?? 0;
  const usual = sorted[Math.ceil(0.95 * sorted.length) - 1] ?? 0;
  const top = fixedTop ?? (usual > 0 && most > 4 * usual ? usual : most);
  return { kind, top, format, exceeded: most > top, hasNone: sizes.length < values.length };
}

/** A field of cells in the colours of a scale, as an SVG element. */
export function heatMap({ cells, scale, ...grid }: HeatMap): { drawing: string; width: number } {
  return drawGrid(
    grid,
    cells.flatMap((values, x) =>
      values.flatMap((value, y) => (value === undefined ? [] : [{ x, y, fill: colourOf(value, scale) }])),
    ),
  );
}

function colourOf(value: number, { kind, top }: ColourScale): string {
  if (!Number.isFinite(value)) return HATCHED;
  const share = top === 0 ? 0 : Math.min(1, Math.max(-1, value / top));
  return kind === "signed"
    ? `var(--direction-${Math.round(((share + 1) / 2) * STEPS)})`
    : `var(--amount-${Math.round(Math.max(0, share) * STEPS)})`;
}

/** What hatching means, as HTML. */
export const NO_NUMBER_KEY = '<p class="none">no number</p>';

/** What the colours mean, as HTML: Plot draws such a key as a picture, which would keep the colours of one scheme. */
export function colourKey({ kind, top, format, exceeded, hasNone }: ColourScale): string {
  const none = hasNone ? NO_NUMBER_KEY : "";
  if (top === 0) return `<div class="key">${none}<p>every value is ${escapeXml(format(0))}</p></div>`;
  const high = `${exceeded ? "≥ " : ""}${format(top)}`;
  const low = kind === "signed" ? `${exceeded ? "≤ " : ""}${format(-top)}` : format(0);
  const middle = format(kind === "signed" ? 0 : top / 2);
  const ends = [low, middle, high].map((text) => `<span>${escapeXml(text)}</span>`).join("");
  return `<div class="key ${kind}">${none}<div><i></i><p>${ends}</p></div></div>`;
}
