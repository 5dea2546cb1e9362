import { barChart } from "../report/bar-chart.ts";
import { cosineText, normText, shareText } from "../report/figures.ts";
import { lineChart } from "../report/line-chart.ts";
import { type Colours, gridMaps } from "../report/maps.ts";
import { shortNames } from "../report/names.ts";
import { type Chart, type Fact, renderPage, type Section, type Table } from "../report/page.ts";
import { formatBytes, formatSeconds } from "../run/units.ts";
import { closeToOne, integersText } from "./table.ts";
import type { CellDifference, Difference, DiffResult } from "./types.ts";

/** More names than these are counted, not listed. */
const LISTED = 40;
/** Modules that have bars: those of a model of one stack. */
const MOST_BARS = 40;

/** A comparison as a page: the same figures as the tables in a terminal, and maps by layer and module. */
export function diffPage(result: DiffResult, top: number): string {
  const { left, right, base, notes } = result;
  const [a = "", b = ""] = shortNames([left, right]);
  return renderPage({
    title: `${b} against ${a}`,
    intro: [
      `a is ${left}, b is ${right}${base === undefined ? "" : `; both come from ${base}`}.`,
      ...notes.map((note) => `${note.charAt(0).toUpperCase()}${note.slice(1)}.`),
    ],
    facts: facts(result),
    sections: [
      ...stacksOf(result.cells).flatMap((stack) => mapSections(stack, base !== undefined)),
      densitySection(result),
      tableSection("By module", "module", result.modules, result),
      layerSection(result),
      largestSection(result, top),
      ...leftOut(result),
    ].filter((section) => section !== undefined),
  });
}

function facts({ total, bytesRead, seconds }: DiffResult): Fact[] {
  const { nonFinite, base } = total;
  const broken = nonFinite.left + nonFinite.right + (base?.nonFinite ?? 0);
  return [
    { name: "Tensors", value: total.tensors.toLocaleString("en") },
    { name: "Elements", value: total.elements.toLocaleString("en") },
    { name: "Relative change", value: orNone(total.relative, shareText) },
    { name: "Cosine", value: orNone(total.cosine, closeToOne) },
    { name: "Changed", value: shareText(total.density[0]?.share ?? 0) },
    ...(base === undefined ? [] : [{ name: "Sign conflicts", value: orNone(base.signConflicts, shareText) }]),
    broken === 0
      ? { name: "Values", value: "no NaN, no infinity", check: "passed" }
      : { name: "Values", value: `NaN or infinity: ${broken.toLocaleString("en")}`, check: "failed" },
    { name: "Read", value: `${formatBytes(bytesRead)} in ${formatSeconds(seconds)}` },
  ];
}

/** A stack of layers: all of a model, or those of one of its parts. */
interface Stack {
  name: string;
  layers: readonly string[];
  modules: readonly string[];
  at(layer: string, module: string): CellDifference | undefined;
}

function stacksOf(cells: readonly CellDifference[]): Stack[] {
  const nameOf = (layer: string) => layer.replace(/\s*\d+$/, "");
  const numberOf = (layer: string) => Number(/\d+$/.exec(layer)?.[0]);
  return [...Map.groupBy(cells, ({ layer }) => nameOf(layer))].map(([name, members]) => {
    const found = new Map(members.map((cell) => [`${cell.layer}\n${cell.module}`, cell]));
    return {
      name,
      layers: [...new Set(members.map(({ layer }) => layer))].sort((x, y) => numberOf(x) - numberOf(y)),
      modules: [...new Set(members.map(({ module }) => module))],
      at: (layer, module) => found.get(`${layer}\n${module}`),
    };
  });
}

function mapSections(stack: Stack, hasBase: boolean): Section[] {
  const suffix = stack.name === "" ? "" : `, ${stack.name}`;
  const share: Colours = { kind: "share", format: shareText };
  const section = (
    title: string,
    text: string,
    colours: Colours,
    maps: readonly { caption?: string; value: (cell: Difference) => number | null | undefined }[],
  ): Section => {
    const grid = {
      unit: "layer",
      columns: stack.layers.map((layer) => /\d+$/.exec(layer)?.[0] ?? layer),
      rows: stack.modules,
    };
    const fields = maps.map(({ caption, value }) => ({
      caption,
      cells: stack.layers.map((layer) =>
        stack.modules.map((module) => {
          const cell = stack.at(layer, module);
          return cell && (value(cell) ?? Number.NaN);
        }),
      ),
    }));
    return { title: title + suffix, text, charts: gridMaps(title + suffix, grid, colours, fields) };
  };
  return [
    section("Relative change", "Norm of b - a, as a share of the norm of a.", share, [
      { value: ({ relative }) => relative },
    ]),
    section(
      "Angle",
      "Between a and b, in degrees: 0 is the same direction, 90 a right angle.",
      { kind: "share", format: degrees },
      [{ value: angle }],
    ),
    section("Changed elements", "Share of the elements that differ at all.", share, [
      { value: ({ density }) => density[0]?.share },
    ]),
    ...(hasBase
      ? [
          section(
            "Change from the base",
            "Norms of a - base and b - base, as a share of the norm of the base.",
            share,
            [
              { caption: "a", value: ({ base }) => base && base.leftChange / base.norm },
              { caption: "b", value: ({ base }) => base && base.rightChange / base.norm },
            ],
          ),
          section(
            "Cosine of the changes",
            "Between a - base and b - base: 1 is the same direction, 0 a right angle, -1 the opposite.",
            { kind: "signed", top: 1, format: cosineText },
            [{ value: ({ base }) => base?.cosine }],
          ),
          section(
            "Sign conflicts",
            "Of the elements that one of the two changed, the share in which they went in opposite directions.",
            share,
            [{ value: ({ base }) => base?.signConflicts }],
          ),
        ]
      : []),
  ];
}

/** A cosine is rounded: that of equal weights may be just below 1. */
function angle({ norm, cosine }: Difference): number | null {
  if (cosine === null) return null;
  return norm === 0 ? 0 : (Math.acos(cosine) * 180) / Math.PI;
}

function degrees(value: number): string {
  return Number.isFinite(value) ? `${Number(value.toPrecision(3))}°` : "-";
}

/** What remains above each threshold, by module. */
function densitySection({ modules, thresholds }: DiffResult): Section {
  const series = thresholds.map((above) => `> ${above}`);
  const chart: Chart = {
    drawing: barChart({
      title: "Elements above thresholds",
      series,
      groups: modules.slice(0, MOST_BARS).map(({ name, density }) => ({
        label: name,
        bars: density.slice(1).map(({ share }) => ({ value: share, text: shareText(share) })),
      })),
    }),
    table: {
      head: ["Module", ...series],
      rows: modules.map(({ name, density }) => [name, ...density.slice(1).map(({ share }) => shareText(share))]),
    },
  };
  return {
    title: "Elements above thresholds",
    text: `Share of the elements that differ by more than ${thresholds.join(", ")}.`,
    charts: [chart],
  };
}

function tableSection(
  title: string,
  by: string,
  groups: readonly (Difference & { name: string })[],
  result: DiffResult,
): Section | undefined {
  if (groups.length === 0) return undefined;
  return { title, table: tableOf(by, [...groups, { name: "all", ...result.total }], result) };
}

function tableOf(by: string, rows: readonly (Difference & { name: string })[], { base }: DiffResult): Table {
  return {
    head: [
      by.charAt(0).toUpperCase() + by.slice(1),
      "Tensors",
      "Norm of a",
      "Norm of b - a",
      "Relative",
      "Cosine",
      "Largest element",
      "Changed",
      ...(base === undefined ? [] : ["Cosine of changes", "Sign conflicts"]),
    ],
    rows: rows.map((row) => [
      row.name,
      String(row.tensors),
      normText(row.leftNorm),
      normText(row.norm),
      orNone(row.relative, shareText),
      orNone(row.cosine, closeToOne),
      normText(row.largest),
      shareText(row.density[0]?.share ?? 0),
      ...(base === undefined ? [] : [orNone(row.base?.cosine, cosineText), orNone(row.base?.signConflicts, shareText)]),
    ]),
  };
}

/** Lines over the layers of a model of one stack; only a table for several. */
function layerSection(result: DiffResult): Section | undefined {
  const { layers, base } = result;
  const at = layers.map(({ name }) => Number(name));
  if (!at.every(Number.isInteger)) return tableSection("By layer", "layer", layers, result);
  if (layers.length === 0) return undefined;
  const number = (value: number | null | undefined) => value ?? Number.NaN;
  const series = [
    { name: "b against a", values: layers.map(({ relative }) => number(relative)) },
    ...(base === undefined
      ? []
      : [
          {
            name: "a against the base",
            values: layers.map((one) => number(one.base && one.base.leftChange / one.base.norm)),
          },
          {
            name: "b against the base",
            values: layers.map((one) => number(one.base && one.base.rightChange / one.base.norm)),
          },
        ]),
  ];
  const title = "By layer";
  return {
    title,
    text: "Relative change of all weights of a layer together.",
    charts: [
      {
        drawing: lineChart({
          title: `Relative change ${title.toLowerCase()}`,
          unit: "layer",
          at,
          series,
          format: shareText,
        }),
        table: tableOf("layer", layers, result),
      },
    ],
  };
}

function largestSection(result: DiffResult, top: number): Section | undefined {
  const changed = result.tensors.filter(({ norm }) => norm > 0);
  if (changed.length === 0) return { title: "Largest relative changes", text: "No element differs." };
  const largest = changed.toSorted((x, y) => (y.relative ?? Infinity) - (x.relative ?? Infinity)).slice(0, top);
  if (largest.length === 0) return undefined;
  const rows = largest.map((one) => ({ ...one, name: one.tensor }));
  return { title: "Largest relative changes", table: tableOf("tensor", rows, result) };
}

function leftOut({ exact, onlyLeft, onlyRight, notCompared }: DiffResult): Section[] {
  const lists = [
    { title: "Tensors of integers", items: exact.length === 0 ? [] : [integersText(exact)] },
    { title: "Only in a", items: onlyLeft },
    { title: "Only in b", items: onlyRight },
    { title: "Not compared", items: notCompared.map(({ tensor, reason }) => `${tensor}: ${reason}`) },
  ];
  return lists.flatMap(({ title, items }) => {
    const rest = items.length - LISTED;
    if (items.length === 0) return [];
    return [{ title, items: rest > 0 ? [...items.slice(0, LISTED), `and ${rest} more`] : items }];
  });
}

function orNone(value: number | null | undefined, write: (value: number) => string): string {
  return value === null || value === undefined ? "-" : write(value);
}
