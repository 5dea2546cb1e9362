import { escapeXml } from "./xml.ts";

export interface Bar {
  /** NaN: there is no bar, only the text. */
  value: number;
  /** The value as it is written beside the bar. */
  text: string;
}

/** Bars that belong together, one for each series, under one label. */
export interface BarGroup {
  label: string;
  bars: readonly Bar[];
}

export interface BarChart {
  /** What the bars show, for those who do not see them. */
  title: string;
  /** Names of the series; a single one needs no legend. */
  series: readonly string[];
  groups: readonly BarGroup[];
}

/** Units of the drawing: CSS pixels where it is shown at full width. */
const WIDTH = 640;
const LABELS = 150;
const VALUES = 76;
const BAR = 12;
const GROUP_GAP = 10;
/** Characters that fit the column of labels; names of models differ at the end more often than at the start. */
const LABEL_CHARACTERS = 22;
/** Colours that the page defines as `--series-0` and so on; more series begin again. */
const SERIES_COLOURS = 8;

/** Horizontal bars from a common zero, as an SVG element. Colours come from the page's custom properties. */
export function barChart({ title, series, groups }: BarChart): string {
  const scale = scaleOf(groups);
  const rows = groups.map(({ label, bars }, i) => {
    const top = groups.slice(0, i).reduce((sum, group) => sum + groupHeight(group), GROUP_GAP / 2);
    const middle = top + (bars.length * BAR) / 2;
    return `<text class="label" x="${LABELS - 8}" y="${middle}">${escapeXml(fitted(label))}</text>${bars.map((bar, j) => drawn(bar, j, top + j * BAR, scale)).join("")}`;
  });
  const height = groups.reduce((sum, group) => sum + groupHeight(group), GROUP_GAP / 2);
  const zero = `<line class="zero" x1="${scale(0)}" x2="${scale(0)}" y1="0" y2="${height}"/>`;
  const svg = `<svg role="img" aria-label="${escapeXml(title)}" viewBox="0 0 ${WIDTH} ${height}">${rows.join("")}${zero}</svg>`;
  return series.length < 2 ? svg : legend(series) + svg;
}

function fitted(label: string): string {
  return label.length <= LABEL_CHARACTERS ? label : `…${label.slice(1 - LABEL_CHARACTERS)}`;
}

function groupHeight({ bars }: BarGroup): number {
  return bars.length * BAR + GROUP_GAP;
}

/** From a value to a horizontal position; zero is always in sight. */
function scaleOf(groups: readonly BarGroup[]): (value: number) => number {
  const values = groups.flatMap(({ bars }) => bars.map(({ value }) => value)).filter(Number.isFinite);
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  const unit = (WIDTH - LABELS - VALUES) / (high - low || 1);
  return (value) => LABELS + unit * (value - low);
}

function drawn({ value, text }: Bar, series: number, top: number, scale: (value: number) => number): string {
  const end = Number.isFinite(value) ? Math.max(scale(value), scale(0)) : scale(0);
  const label = `<text class="value" x="${round(end + 5)}" y="${top + BAR / 2}">${escapeXml(text)}</text>`;
  if (!Number.isFinite(value)) return label;
  const start = Math.min(scale(value), scale(0));
  const size = `x="${round(start)}" y="${top + 1}" width="${round(end - start)}" height="${BAR - 2}"`;
  return `<rect style="fill:${colour(series)}" ${size}/>${label}`;
}

function legend(series: readonly string[]): string {
  const entries = series.map((name, i) => {
    return `<li><span class="swatch" style="background:${colour(i)}"></span>${escapeXml(name)}</li>`;
  });
  return `<ul class="legend">${entries.join("")}</ul>`;
}

function colour(series: number): string {
  return `var(--series-${series % SERIES_COLOURS})`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
