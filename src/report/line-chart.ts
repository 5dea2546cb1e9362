import { axisX, axisY, dot, gridY, lineY, ruleY } from "@observablehq/plot";
import { draw } from "./plot.ts";
import { legend, seriesColour, seriesDash } from "./series.ts";

export interface LineChart {
  /** What the lines show, for those who do not see them. */
  title: string;
  /** What runs from left to right. */
  unit: string;
  /** Positions from left to right. */
  at: readonly number[];
  /** A value for each position; NaN leaves a gap. */
  series: readonly { name: string; values: readonly number[] }[];
  /** How values are written. */
  format: (value: number) => string;
}

/** CSS pixels. */
const WIDTH = 720;
const HEIGHT = 220;
const CHARACTER = 6.7;
/** So few points are marked, because a line of one or two says little. */
const MARKED = 40;

/** Lines over layers, with a legend, as HTML. Zero is in sight where values come near it. */
export function lineChart({ title, unit, at, series, format }: LineChart): string {
  const points = series.flatMap(({ values }, i) =>
    values.map((value, j) => ({ x: at[j] as number, value, series: i })),
  );
  const finite = points.map(({ value }) => value).filter(Number.isFinite);
  const { domain, ticks } = heights(finite);
  // Ticks are rounder than the ends of the scale, and their text no longer than a sign or a digit more.
  const left = 14 + CHARACTER * (1 + Math.max(...[...domain, ...finite].map((value) => format(value).length)));
  const svg = draw({
    title,
    width: WIDTH,
    height: HEIGHT,
    marginLeft: left,
    marginRight: 16,
    marginTop: 10,
    marginBottom: 36,
    x: { domain: [at[0] ?? 0, Math.max((at[0] ?? 0) + 1, at.at(-1) ?? 1)] },
    y: { domain, nice: ticks === undefined },
    color: { type: "identity" },
    marks: [
      gridY({ ticks: ticks ?? 5 }),
      axisX({
        ticks: integerTicks(at),
        tickFormat: String,
        label: unit,
        labelAnchor: "left",
        labelOffset: 32,
        labelArrow: "none",
        tickSize: 0,
      }),
      axisY({ ticks: ticks ?? 5, tickFormat: format, label: null, tickSize: 0 }),
      ...(domain[0] <= 0 && domain[1] >= 0 ? [ruleY([0])] : []),
      ...series.map((_, i) =>
        lineY(
          points.filter((point) => point.series === i),
          { x: "x", y: "value", stroke: seriesColour(i), strokeDasharray: seriesDash(i), strokeWidth: 2 },
        ),
      ),
      ...(at.length > MARKED
        ? []
        : [dot(points, { x: "x", y: "value", r: 2.5, fill: ({ series: i }) => seriesColour(i) })]),
    ],
  });
  return series.length < 2
    ? svg
    : legend(
        series.map(({ name }) => name),
        "lines",
      ) + svg;
}

/** The ends of the scale: with zero where values come near it. A single value is in the middle, the only one with a tick. */
function heights(values: readonly number[]): { domain: [number, number]; ticks?: number[] } {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (values.length === 0) return { domain: [0, 1], ticks: [] };
  const spread = high - low;
  if (spread === 0) return { domain: [low - (Math.abs(low) || 1), low + (Math.abs(low) || 1)], ticks: [low] };
  return { domain: [low > 0 && low < 2 * spread ? 0 : low, high] };
}

/** At most about twelve of them, evenly. */
function integerTicks(at: readonly number[]): number[] {
  const step = [1, 2, 4, 5, 10, 20, 25, 50].find((size) => at.length / size <= 12) ?? 100;
  return at.filter((_, i) => i % step === 0);
}
