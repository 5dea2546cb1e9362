import { type BarChart, barChart } from "../report/bar-chart.ts";
import { cosineText, normText, rateText, secondsText, shareText } from "../report/figures.ts";
import { shortNames } from "../report/names.ts";
import { type Chart, renderPage, type Section } from "../report/page.ts";
import { formatBytes } from "../run/units.ts";
import { benchNotes, total } from "./table.ts";
import { type BenchResult, type Effect, gigabytesPerSecond } from "./types.ts";

/** What a chart has a row for: a model, or the output of a method. */
interface Row {
  name: string;
  effects: readonly Effect[];
}

/** The result as a page with a chart and a table for each kind of figure. */
export function benchPage(result: BenchResult): string {
  const names = shortNames(result.models);
  const models: Row[] = result.modelEffects.map(({ effects }, i) => ({ name: names[i] ?? "", effects }));
  const methods: Row[] = result.measured.map(({ method, effects }) => ({ name: method, effects }));
  const sections = [
    speed(result),
    change([...models, ...methods]),
    cosines([...models, ...methods], names),
    density([...models, ...methods]),
    conflicts(models[0] as Row),
  ];
  const skipped = result.skipped.map(({ method, reason }) => `${method}: ${reason}`);
  return renderPage({
    title: "Merge methods compared",
    intro: [`Models: ${result.models.join(", ")}. Base: ${result.base ?? "none"}.`, ...benchNotes(result)],
    sections: [
      ...sections,
      ...(skipped.length === 0 ? [] : [{ title: "Skipped", items: skipped }]),
      { title: "Recipes", items: result.measured.map(({ recipe }) => JSON.stringify(recipe)) },
    ],
  });
}

function speed({ measured }: BenchResult): Section {
  const chart = (
    title: string,
    value: (row: (typeof measured)[number]) => number,
    text: (value: number) => string,
  ) => ({
    caption: title,
    drawing: barChart({
      title: `${title} by method`,
      series: [title],
      groups: measured.map((row) => ({ label: row.method, bars: [{ value: value(row), text: text(value(row)) }] })),
    }),
  });
  return {
    title: "Speed",
    text: "A whole merge, from the first input to the finished folder. GB/s counts bytes read and written.",
    charts: [chart("Seconds", (row) => row.seconds, secondsText), chart("GB/s", gigabytesPerSecond, rateText)],
    table: {
      head: ["Method", "Device", "Seconds", "Every run", "GB/s", "Read", "Written"],
      rows: measured.map((row) => [
        row.method,
        row.device,
        secondsText(row.seconds),
        row.runs.map(secondsText).join(", "),
        rateText(gigabytesPerSecond(row)),
        formatBytes(row.bytesRead),
        formatBytes(row.bytesWritten),
      ]),
    },
  };
}

function change(rows: readonly Row[]): Section {
  const relative = (effect: Effect) => effect.relativeChange;
  return {
    title: "Size of the change",
    text:
      "Norm of the difference from the reference, as a share of the reference's own norm; for the models, too. The table " +
      "ends with the norm itself.",
    charts: byPart(rows, "Relative change", [{ name: "", value: relative }], shareText),
    table: {
      head: ["Model or method", ...partNames(rows), "norm"],
      rows: rows.map(({ name, effects }) => [
        name,
        ...effects.map((effect) => shareText(effect.relativeChange)),
        normText(total(effects).changeNorm),
      ]),
    },
  };
}

function cosines(rows: readonly Row[], models: readonly string[]): Section {
  const series = models.map((name, i) => ({ name, value: (effect: Effect) => effect.cosines[i] ?? Number.NaN }));
  return {
    title: "Direction of the change",
    text:
      "Cosine between the output's difference from the reference and each model's: 1 is the same direction, 0 a right " +
      "angle. The table has the models in the order of the legend.",
    charts: byPart(rows, "Cosine", series, cosineText),
    table: {
      head: ["Model or method", ...partNames(rows)],
      rows: rows.map(({ name, effects }) => [
        name,
        ...effects.map((effect) => effect.cosines.map(cosineText).join("  ")),
      ]),
    },
  };
}

function density(rows: readonly Row[]): Section {
  return {
    title: "Density of the change",
    text: "Share of the elements that differ from the reference at all.",
    charts: byPart(rows, "Density", [{ name: "", value: (effect) => effect.density }], shareText),
    table: {
      head: ["Model or method", ...partNames(rows)],
      rows: rows.map(({ name, effects }) => [name, ...effects.map((effect) => shareText(effect.density))]),
    },
  };
}

function conflicts({ effects }: Row): Section {
  const chart: BarChart = {
    title: "Sign conflicts by part",
    series: ["share"],
    groups: effects.map(({ part, signConflicts }) => ({
      label: part,
      bars: [{ value: signConflicts, text: shareText(signConflicts) }],
    })),
  };
  return {
    title: "Sign conflicts among the models",
    text:
      "Of the elements that some model changed, the share in which two models went in opposite directions. It is a " +
      "property of the models, the same for every method.",
    charts: [{ drawing: barChart(chart) }],
    table: {
      head: ["Part", "Sign conflicts", "Elements"],
      rows: effects.map(({ part, signConflicts, elements }) => [part, shareText(signConflicts), String(elements)]),
    },
  };
}

/** One chart for each part, the total first. */
function byPart(
  rows: readonly Row[],
  what: string,
  series: readonly { name: string; value: (effect: Effect) => number }[],
  text: (value: number) => string,
): Chart[] {
  const parts = partNames(rows);
  return parts.toSpliced(0, 0, ...parts.splice(-1)).map((part) => {
    const groups = rows.map(({ name, effects }) => {
      const effect = effects.find((candidate) => candidate.part === part);
      const values = series.map(({ value }) => (effect === undefined ? Number.NaN : value(effect)));
      return { label: name, bars: values.map((value) => ({ value, text: text(value) })) };
    });
    return {
      caption: part,
      drawing: barChart({ title: `${what}, ${part}`, series: series.map(({ name }) => name), groups }),
    };
  });
}

/** Names of all parts, the total last. */
function partNames(rows: readonly Row[]): string[] {
  return (rows[0]?.effects ?? []).map(({ part }) => part as string);
}
