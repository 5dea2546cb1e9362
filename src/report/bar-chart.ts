import { axisFy, barX, ruleX, text } from "@observablehq/plot";
import { draw } from "./plot.ts";
import { legend, seriesColour } from "./series.ts";

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

/** CSS pixels. */
const WIDTH = 480;
const VALUES = 76;
const BAR = 13;
const GROUP_GAP = 8;
const CHARACTER = 6.7;
/** Characters that fit the column of labels; names of models differ at the end more often than at the start. */
const LABEL_CHARACTERS = 22;

/** Horizontal bars from a common zero, each with its value beside it, as an SVG element and a legend. */
export function barChart({ title, series, groups }: BarChart): string {
  const labels = groups.map(({ label }) => fitted(label));
  const bars = groups.flatMap((group, at) => group.bars.map((bar, i) => ({ ...bar, at, series: i })));
  const finite = bars.map(({ value }) => value).filter(Number.isFinite);
  const most = Math.max(1, ...groups.map((group) => group.bars.length));
  const left = Math.ceil(Math.max(0, ...labels.map((label) => label.length)) * CHARACTER) + 18;
  const svg = draw({
    title,
    width: WIDTH,
    height: Math.max(1, groups.length) * (most * BAR + GROUP_GAP),
    marginLeft: left,
    marginRight: VALUES,
    marginTop: 0,
    marginBottom: 0,
    x: { domain: [Math.min(0, ...finite), Math.max(0, ...finite) || 1], axis: null },
    y: { type: "band", domain: Array.from({ length: most }, (_, i) => i), axis: null, padding: 0.15 },
    fy: { domain: labels.map((_, i) => i), padding: GROUP_GAP / (most * BAR + GROUP_GAP) },
    color: { type: "identity" },
    marks: [
      axisFy({ anchor: "left", label: null, tickFormat: (at: number) => labels[at], tickSize: 0, dx: -4 }),
      barX(
        bars.filter(({ value }) => Number.isFinite(value)),
        {
          fy: "at",
          y: "series",
          x: "value",
          fill: ({ series }) => seriesColour(series),
        },
      ),
      text(bars, {
        fy: "at",
        y: "series",
        x: ({ value }) => Math.max(0, value || 0),
        text: "text",
        textAnchor: "start",
        dx: 5,
      }),
      ruleX([0]),
    ],
  });
  return series.length < 2 ? svg : legend(series) + svg;
}

function fitted(label: string): string {
  return label.length <= LABEL_CHARACTERS ? label : `…${label.slice(1 - LABEL_CHARACTERS)}`;
}
