import { cell, text } from "@observablehq/plot";
import { STEPS } from "./palette.ts";
import { draw } from "./plot.ts";
import { escapeXml } from "./xml.ts";

/** A value of a heat map; NaN where there is no such number. */
export type Cell = number | undefined;

export interface HeatMap {
  /** What it shows, for those who do not see it. */
  title: string;
  /** What the columns are numbers of. */
  unit: string;
  /** Names from left to right and from top to bottom. */
  columns: readonly string[];
  rows: readonly string[];
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

/** CSS pixels. Characters are those of a typeface in which all are equally wide. */
const CHARACTER = 6.7;
const MOST_CHARACTERS = 32;
const ROOM = 840;
const ROW = 18;
const NARROWEST = 6;
const WIDEST = 28;
const FOOT = 34;
const GAP = 8;

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

/**
 * A field of coloured cells, as an SVG element: layers from left to right, so that names stand upright and many maps fit
 * below each other. Cells stand in the order of `cells`, so that a script finds the figure of each in the table.
 */
export function heatMap({ title, unit, columns, rows, cells, scale }: HeatMap): { drawing: string; width: number } {
  const width = Math.min(WIDEST, Math.max(NARROWEST, Math.floor(ROOM / Math.max(1, columns.length))));
  const labels = rows.map(fitted);
  const left = Math.ceil(Math.max(4, ...labels.map((label) => label.length)) * CHARACTER) + GAP;
  const across = columns.length * width;
  const data = cells.flatMap((values, x) =>
    values.flatMap((value, y) => (value === undefined ? [] : [{ x, y, value }])),
  );
  const every = tickStep(columns, width);
  const named = columns.flatMap((name, x) => (x % every === 0 ? [{ x, name }] : []));
  const whole = left + Math.max(across, unit.length * CHARACTER) + GAP;
  const drawing = draw({
    title,
    width: whole,
    height: rows.length * ROW + FOOT,
    marginLeft: left,
    marginRight: Math.max(GAP, unit.length * CHARACTER + GAP - across),
    marginTop: 0,
    marginBottom: FOOT,
    padding: 0,
    x: { type: "band", domain: columns.map((_, x) => x), axis: null },
    y: { type: "band", domain: rows.map((_, y) => y), axis: null },
    color: { type: "identity" },
    marks: [
      cell(data, {
        x: "x",
        y: "y",
        inset: 0.5,
        fill: ({ value }) => colourOf(value, scale),
        ...(scale.hasNone ? { stroke: outlineOf, strokeDasharray: "2 2" } : {}),
      }),
      text(labels, { y: (_, i) => i, text: String, frameAnchor: "left", textAnchor: "end", dx: -GAP }),
      text(named, { x: "x", text: "name", frameAnchor: "bottom", lineAnchor: "top", dy: 5 }),
      text([unit], { text: String, frameAnchor: "bottom-left", lineAnchor: "top", dy: 20 }),
    ],
  });
  return { drawing, width: whole };
}

/** Every how many columns there is room for a name. */
function tickStep(columns: readonly string[], width: number): number {
  const needed = Math.max(1, ...columns.map((name) => name.length)) * CHARACTER + 4;
  const least = Math.ceil(needed / width);
  return [1, 2, 4, 5, 10, 20, 25, 50].find((step) => step >= least) ?? least;
}

function fitted(name: string): string {
  return name.length <= MOST_CHARACTERS ? name : `…${name.slice(1 - MOST_CHARACTERS)}`;
}

function colourOf(value: number, { kind, top }: ColourScale): string {
  if (!Number.isFinite(value)) return "transparent";
  const share = top === 0 ? 0 : Math.min(1, Math.max(-1, value / top));
  return kind === "signed"
    ? `var(--direction-${Math.round(((share + 1) / 2) * STEPS)})`
    : `var(--amount-${Math.round(Math.max(0, share) * STEPS)})`;
}

/** A cell without a number is an outline. */
function outlineOf({ value }: { value: number }): string {
  return Number.isFinite(value) ? "none" : "var(--faint)";
}

/** What the colours mean, as HTML: Plot draws such a key as a picture, which would keep the colours of one scheme. */
export function colourKey({ kind, top, format, exceeded, hasNone }: ColourScale): string {
  if (top === 0) return `<div class="key"><p>every value is ${escapeXml(format(0))}</p></div>`;
  const high = `${exceeded ? "≥ " : ""}${format(top)}`;
  const low = kind === "signed" ? `${exceeded ? "≤ " : ""}${format(-top)}` : format(0);
  const middle = format(kind === "signed" ? 0 : top / 2);
  const ends = [low, middle, high].map((text) => `<span>${escapeXml(text)}</span>`).join("");
  const none = hasNone ? '<p class="none">no number</p>' : "";
  return `<div class="key ${kind}">${none}<div><i></i><p>${ends}</p></div></div>`;
}
