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
/** So few points are marked, because a line of one or two says little. */
const MARKED = 40;

/** Lines over layers, with a legend, as HTML. Zero is in sight where values come near it. */
export function lineChart({ title, unit, at, series, format }: LineChart): string {
  const points = series.flatMap(({ values }, i) =>
    values.map((value, j) => ({ x: at[j] as number, value, series: i })),
  );
  const finite = points.map(({ value }) => value).filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const spread = high - low;
  const nearZero = low > 0 && low < 2 * spread;
  const floor = finite.length === 0 ? 0 : nearZero ? 0 : low;
  const ceiling = finite.length === 0 ? 1 : spread === 0 ? high + (Math.abs(high) || 1) : high;
  const svg = draw({
    title,
    width: WIDTH,
    height: HEIGHT,
    marginLeft: 64,
    marginRight: 16,
    marginTop: 10,
    marginBottom: 36,
    x: { domain: [at[0] ?? 0, Math.max((at[0] ?? 0) + 1, at.at(-1) ?? 1)] },
    y: { domain: [floor, ceiling], nice: true },
    color: { type: "identity" },
    marks: [
      gridY({ ticks: 5 }),
      axisX({
        ticks: integerTicks(at),
        tickFormat: String,
        label: unit,
        labelAnchor: "left",
        labelOffset: 32,
        labelArrow: "none",
        tickSize: 0,
      }),
      axisY({ ticks: 5, tickFormat: format, label: null, tickSize: 0 }),
      ...(floor <= 0 && ceiling >= 0 ? [ruleY([0])] : []),
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

/** At most about twelve of them, evenly. */
function integerTicks(at: readonly number[]): number[] {
  const step = [1, 2, 4, 5, 10, 20, 25, 50].find((size) => at.length / size <= 12) ?? 100;
  return at.filter((_, i) => i % step === 0);
}
