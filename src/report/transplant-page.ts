import type { MergePlan } from "../plan/types.ts";
import type { MatrixPlan } from "../transplant/matrices.ts";
import { type BarGroup, barChart } from "./bar-chart.ts";
import { relativeChange } from "./cells.ts";
import { normText, shareText } from "./figures.ts";
import type { MergeMeasure } from "./measure.ts";
import { shortNames } from "./names.ts";
import { type Chart, type Fact, renderPage, type Section } from "./page.ts";
import {
  type MergeSpeed,
  mergeFacts,
  nonFiniteSection,
  notCompared,
  recipeSection,
  SPEED_NOTE,
  warnings,
} from "./sections.ts";
import type { MatrixMeasure } from "./transplant-measure.ts";

export interface TransplantReport {
  /** The output's name. */
  name: string;
  plan: MergePlan;
  matrices: readonly MatrixPlan[];
  /** By the donor's ids: how tokens are spelt. */
  spelling: ReadonlyMap<number, string>;
  /** Of all weights without a row for each token. */
  measure: MergeMeasure;
  rows: readonly MatrixMeasure[];
  speed: MergeSpeed | undefined;
}

/** More tokens than these are counted, not listed. */
const LISTED = 100;

const WAYS = {
  exact: "the same token",
  byte: "by its byte",
  prefix: "by a prefix",
  approximated: "approximated",
  zero: "zeros",
} as const satisfies Record<keyof MatrixPlan["assignment"]["counts"], string>;

/** What a transplant of tokens did, as a page. */
export function transplantPage({ name, plan, matrices, spelling, measure, rows, speed }: TransplantReport): string {
  const [original = "", donor = ""] = plan.models;
  const nonFinite = rows.reduce((sum, { copied, approximated }) => sum + copied.nonFinite + approximated.nonFinite, 0);
  const { counts } = (matrices.find(({ role }) => role === "embedding") ?? matrices[0])?.assignment ?? {};
  const facts: Fact[] = [
    {
      name: "Tokens",
      value: Object.values(counts ?? {})
        .reduce((sum, count) => sum + count, 0)
        .toLocaleString("en"),
    },
    { name: "Approximated", value: (counts?.approximated ?? 0).toLocaleString("en") },
    { name: "Method", value: plan.method.replace(/^transplant \((.*)\)$/, "$1") },
    ...mergeFacts(plan, measure.tensors, speed, nonFinite),
  ];
  const sections: Section[] = [
    recipeSection(plan),
    waysSection(matrices),
    normsSection(rows, shortNames(plan.models)),
    tokensSection(matrices, spelling),
    otherWeights(measure, original),
    ...(plan.tied.length === 0
      ? []
      : [
          {
            title: "Ties",
            items: plan.tied.map(({ tensor, follows }) => `${tensor} is tied to ${follows}, and not stored.`),
          },
        ]),
    nonFiniteSection(
      measure.tensors,
      rows.map(({ tensor, copied, approximated }) => ({ tensor, count: copied.nonFinite + approximated.nonFinite })),
    ),
    ...warnings(plan),
    ...notCompared(measure),
  ];
  const intro = [
    `${original} with the tokenizer of ${donor}.`,
    `Every drawing has its figures in a table below it.${speed === undefined ? ` ${SPEED_NOTE}` : ""}`,
  ];
  return renderPage({ title: `Transplant report: ${name}`, intro, facts, sections });
}

function waysSection(matrices: readonly MatrixPlan[]): Section {
  const ways = Object.keys(WAYS) as (keyof typeof WAYS)[];
  return {
    title: "Where rows come from",
    text:
      "Tokens of the new tokenizer, by how their row was found: the model's row of the same token, of its byte spelt the " +
      "other way, of its longest prefix, an approximation, or zeros.",
    charts: matrices.map(({ tensor, assignment: { counts } }): Chart => {
      const used = ways.filter((way) => counts[way] > 0 || way === "exact" || way === "approximated");
      return {
        caption: tensor,
        drawing: barChart({
          title: `Where rows of ${tensor} come from`,
          series: ["tokens"],
          groups: used.map((way) => ({
            label: WAYS[way],
            bars: [{ value: counts[way], text: counts[way].toLocaleString("en") }],
          })),
        }),
        table: { head: ["Row", "Tokens"], rows: ways.map((way) => [WAYS[way], String(counts[way])]) },
      };
    }),
  };
}

function normsSection(rows: readonly MatrixMeasure[], [original = "", donor = ""]: readonly string[]): Section {
  return {
    title: "Lengths of rows",
    text:
      "Norms of rows, the root of their mean square. Approximated rows that are much shorter or longer than the model's own " +
      "are unlike anything that it was trained with.",
    charts: rows.map(({ tensor, copied, approximated, donorNorm }): Chart => {
      const bars = [
        { label: `from ${original}`, value: copied.norm },
        { label: "approximated", value: approximated.norm },
        { label: `${donor}, same tokens`, value: donorNorm },
      ].filter(({ value }) => Number.isFinite(value));
      return {
        caption: tensor,
        drawing: barChart({
          title: `Lengths of rows of ${tensor}`,
          series: ["norm"],
          groups: bars.map(({ label, value }): BarGroup => ({ label, bars: [{ value, text: normText(value) }] })),
        }),
        table: { head: ["Rows", "Norm"], rows: bars.map(({ label, value }) => [label, normText(value)]) },
      };
    }),
    table: {
      head: ["Weight", "Copied rows", "Difference from the model's"],
      rows: rows.map(({ tensor, copied }) => [tensor, String(copied.rows), changeText(copied.change)]),
    },
  };
}

function tokensSection(matrices: readonly MatrixPlan[], spelling: ReadonlyMap<number, string>): Section {
  const ids = [...new Set(matrices.flatMap(({ assignment }) => [...assignment.targets]))];
  const title = "Approximated tokens";
  if (ids.length === 0) return { title, text: "None: the model has every token of the new tokenizer." };
  const rest = ids.length - LISTED;
  const width = String(ids.at(-1)).length;
  const names = ids
    .slice(0, LISTED)
    .map((id) => `${String(id).padStart(width)}  ${JSON.stringify(spelling.get(id) ?? "")}`);
  return { title, literal: [...names, ...(rest > 0 ? [`and ${rest.toLocaleString("en")} more`] : [])].join("\n") };
}

function otherWeights({ tensors }: MergeMeasure, original: string): Section {
  const change = relativeChange(tensors, original);
  const title = "All other weights";
  if (tensors.length === 0) return { title, text: "There are none." };
  return {
    title,
    text:
      change === 0
        ? `${tensors.length} tensors: every element is that of ${original}.`
        : `${tensors.length} tensors: they differ from ${original} by ${shareText(change)} of their norm.`,
  };
}

function changeText(change: number): string {
  if (Number.isNaN(change)) return "-";
  return change === 0 ? "the same" : shareText(change);
}
