import { escapeXml } from "./xml.ts";

/** A value of a heat map. */
export interface Cell {
  value: number;
  /** As it is written in the table and shown when pointed at. */
  text: string;
}

export interface HeatMap {
  /** What it shows, for those who do not see it. */
  title: string;
  columns: readonly string[];
  /** A cell for each column; undefined where there is none. */
  rows: readonly { label: string; cells: readonly (Cell | undefined)[] }[];
  /** `share`: from 0 to the largest value. `signed`: two colours from 0. */
  scale: "share" | "signed";
  /** The value of full colour; the largest there is unless given. */
  top?: number | undefined;
  /** How the ends of the scale are written. */
  format: (value: number) => string;
}

/** Units of the drawing: CSS pixels where it is shown at full width. */
const WIDTH = 640;
const LABELS = 56;
/** Room for the last column's name, which leans to the right. */
const MARGIN = 110;
const ROW = 16;
const HEAD = 104;
const LEGEND = 34;
/** What a value of nearly nothing is still seen by. */
const FAINTEST = 0.04;

/** A field of coloured cells with a scale below, as an SVG element. Colours come from the page's custom properties. */
export function heatMap({ title, columns, rows, scale, top: given, format }: HeatMap): string {
  const values = rows.flatMap(({ cells }) => cells.map((cell) => cell?.value ?? Number.NaN)).filter(Number.isFinite);
  const top = given ?? Math.max(0, ...values.map(Math.abs));
  const width = (WIDTH - LABELS - MARGIN) / Math.max(1, columns.length);
  const heads = columns.map((name, i) => {
    const x = round(LABELS + (i + 0.5) * width);
    return `<text class="column" transform="translate(${x} ${HEAD - 6}) rotate(-35)">${escapeXml(fitted(name))}</text>`;
  });
  const body = rows.map(({ label, cells }, i) => {
    const y = HEAD + i * ROW;
    const drawn = cells.map((cell, j) => drawCell(cell, { x: LABELS + j * width, y, width }, top));
    return `<text class="label" x="${LABELS - 6}" y="${y + ROW / 2}">${escapeXml(label)}</text>${drawn.join("")}`;
  });
  const end = HEAD + rows.length * ROW;
  const ends = [format(scale === "signed" ? -top : 0), format(top)] as const;
  const legend = values.length === 0 ? "" : drawLegend(scale, end + 10, ends);
  return `<svg role="img" aria-label="${escapeXml(title)}" viewBox="0 0 ${WIDTH} ${end + LEGEND}">${heads.join("")}${body.join("")}${legend}</svg>`;
}

function drawCell(
  cell: Cell | undefined,
  { x, y, width }: { x: number; y: number; width: number },
  top: number,
): string {
  if (cell === undefined) return "";
  const place = `x="${round(x + 0.5)}" y="${y + 0.5}" width="${round(width - 1)}" height="${ROW - 1}"`;
  const hover = `<title>${escapeXml(cell.text)}</title>`;
  if (!Number.isFinite(cell.value)) return `<rect class="none" ${place}>${hover}</rect>`;
  const strength = top === 0 ? 0 : Math.min(1, Math.abs(cell.value) / top);
  const opacity = cell.value === 0 ? 0 : round(FAINTEST + (1 - FAINTEST) * strength);
  return `<rect class="cell" style="fill:var(--series-${cell.value < 0 ? 1 : 0});fill-opacity:${opacity}" ${place}>${hover}</rect>`;
}

/** Steps from one end of the scale to the other, with what the ends stand for. */
function drawLegend(scale: HeatMap["scale"], y: number, [low, high]: readonly [string, string]): string {
  const steps = 16;
  const left = LABELS + 40;
  const boxes = Array.from({ length: steps }, (_, i) => {
    const at = scale === "signed" ? (2 * i) / (steps - 1) - 1 : i / (steps - 1);
    const fill = `fill:var(--series-${at < 0 ? 1 : 0});fill-opacity:${round(Math.abs(at))}`;
    return `<rect class="step" style="${fill}" x="${left + i * 10}" y="${y}" width="10" height="12"/>`;
  });
  const text = (name: string, x: number, content: string) =>
    `<text class="${name}" x="${x}" y="${y + 6}">${escapeXml(content)}</text>`;
  return text("label", left - 6, low) + boxes.join("") + text("value", left + steps * 10 + 6, high);
}

function fitted(name: string): string {
  return name.length <= 24 ? name : `…${name.slice(-23)}`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
