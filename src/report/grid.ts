import { cell, type Markish, text } from "@observablehq/plot";
import { draw } from "./plot.ts";

/** A field of cells: layers from left to right, so that names stand upright and many fields fit below each other. */
export interface Grid {
  /** What it shows, for those who do not see it. */
  title: string;
  /** What the columns are numbers of. */
  unit: string;
  /** Names from left to right and from top to bottom. */
  columns: readonly string[];
  rows: readonly string[];
}

/** A cell by the numbers of its column and row. */
export interface GridCell {
  x: number;
  y: number;
  /** As SVG takes it. */
  fill: string;
  opacity?: number | undefined;
}

/** What the page's style draws where there is a cell and no number for it: hatching, which is no colour of any scale. */
export const HATCHED = "url(#no-number)";

/** CSS pixels. Characters are those of a typeface in which all are equally wide. */
const CHARACTER = 6.7;
const MOST_CHARACTERS = 32;
const ROOM = 840;
const ROW = 18;
const NARROWEST_ROW = 6;
/** What all rows may take before they become narrower. */
const TALLEST = 1200;
/** The least distance of names that stand below each other. */
const LINE = 14;
const NARROWEST = 6;
const WIDEST = 28;
/** Narrower cells have no gaps between them, which would be a pattern of their own. */
const GAPPED = 12;
const FOOT = 34;
const GAP = 8;

/** A label on the cells, at a column that may lie between two, and a row. */
export interface GridLabel {
  x: number;
  y: number;
  text: string;
}

/**
 * Draws a field, as an SVG element. Cells stand in the given order, so that a script finds the figure of each in the table.
 * @returns with it, how wide a cell is: whether there is room for words.
 */
export function drawGrid(
  { title, unit, columns, rows }: Grid,
  cells: readonly GridCell[],
  labelsOf: (cellWidth: number) => readonly GridLabel[] = () => [],
): { drawing: string; width: number } {
  const width = Math.min(WIDEST, Math.max(NARROWEST, Math.floor(ROOM / Math.max(1, columns.length))));
  const height = Math.min(ROW, Math.max(NARROWEST_ROW, Math.floor(TALLEST / Math.max(1, rows.length))));
  const names = rows.map(fitted);
  const left = Math.ceil(Math.max(4, ...names.map((name) => name.length)) * CHARACTER) + GAP;
  const across = columns.length * width;
  const named = every(columns, tickStep(columns, width)).map(([name, x]) => ({ x, name }));
  const titled = every(names, Math.ceil(LINE / height)).map(([name, y]) => ({ y, name }));
  const whole = left + Math.max(across, unit.length * CHARACTER) + GAP;
  const gap = width < GAPPED ? 0 : 0.5;
  const labels = labelsOf(width);
  const marks: Markish[] = [
    cell(cells, {
      x: "x",
      y: "y",
      insetLeft: gap,
      insetRight: gap,
      insetTop: height < GAPPED ? 0 : 0.5,
      insetBottom: height < GAPPED ? 0 : 0.5,
      fill: "fill",
      ...(cells.some(({ opacity }) => opacity !== undefined) ? { fillOpacity: ({ opacity }) => opacity ?? 1 } : {}),
    }),
    text(titled, { y: "y", text: "name", frameAnchor: "left", textAnchor: "end", dx: -GAP }),
    text(named, { x: "x", text: "name", frameAnchor: "bottom", lineAnchor: "top", dy: 5 }),
    text([unit], { text: String, frameAnchor: "bottom-left", lineAnchor: "top", dy: 20 }),
    // Between two columns is half a cell to the right of the first.
    ...[0, 0.5].map((between) =>
      text(
        labels.filter(({ x }) => x % 1 === between),
        {
          text: "text",
          x: ({ x }) => Math.floor(x),
          y: "y",
          dx: between * width,
          fill: "var(--text)",
          stroke: "var(--ground)",
          paintOrder: "stroke",
          strokeWidth: 3,
        },
      ),
    ),
  ];
  const drawing = draw({
    title,
    width: whole,
    height: rows.length * height + FOOT,
    marginLeft: left,
    marginRight: Math.max(GAP, unit.length * CHARACTER + GAP - across),
    marginTop: 0,
    marginBottom: FOOT,
    padding: 0,
    x: { type: "band", domain: columns.map((_, x) => x), axis: null },
    y: { type: "band", domain: rows.map((_, y) => y), axis: null },
    color: { type: "identity" },
    opacity: { type: "identity" },
    marks,
  });
  return { drawing, width: whole };
}

function every<T>(items: readonly T[], step: number): [T, number][] {
  return items.flatMap((item, i) => (i % step === 0 ? [[item, i] as [T, number]] : []));
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
