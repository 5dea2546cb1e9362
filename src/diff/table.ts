import { visibleName } from "../visible.ts";
import type { Difference, DiffResult } from "./types.ts";

export interface TableOptions {
  /** What has a row each. */
  by: "module" | "layer" | "tensor";
  /** Most rows of the largest changes. */
  top: number;
}

/** More names than these are counted, not listed. */
const LISTED = 8;

/** The comparison as text: a line on each model, a table, the tensors that changed most, and what was left out. */
export function diffText(result: DiffResult, { by, top }: TableOptions): string {
  const { total, tensors } = result;
  const groups = { module: result.modules, layer: result.layers, tensor: named(tensors) }[by];
  const changed = tensors.filter(({ norm }) => norm > 0);
  const largest = changed.toSorted((a, b) => (b.relative ?? Infinity) - (a.relative ?? Infinity)).slice(0, top);
  const rows = [...groups, { name: "all", ...total }];
  const sections = [
    intro(result),
    figuresTable(by, rows, result),
    ...(result.base === undefined ? [] : [`Changes from ${result.base}:\n${baseTable(by, rows)}`]),
    ...(by === "tensor" || largest.length === 0
      ? []
      : [`Largest relative changes:\n${figuresTable("tensor", named(largest), result)}`]),
    ...leftOut(result),
  ];
  return `${sections.join("\n\n")}\n`;
}

function named<T extends { tensor: string }>(tensors: readonly T[]): (T & { name: string })[] {
  return tensors.map((tensor) => ({ ...tensor, name: tensor.tensor }));
}

function intro({ left, right, base, total, exact, notes }: DiffResult): string {
  const compared = total.tensors + exact.length;
  const finite = total.nonFinite.left + total.nonFinite.right === 0;
  const same = compared > 0 && total.norm === 0 && finite && exact.every((one) => one.same);
  return [
    `${right} against ${left}${base === undefined ? "" : `, both against ${base}`}: ${total.tensors} tensors, ` +
      `${total.elements.toLocaleString("en")} elements`,
    ...(same ? ["Every element is the same."] : []),
    ...notes.map((note) => `Note: ${visibleName(note)}.`),
  ].join("\n");
}

function figuresTable(
  by: string,
  rows: readonly (Difference & { name: string })[],
  { thresholds }: DiffResult,
): string {
  const counts = by !== "tensor";
  const head = [
    by,
    ...(counts ? ["tensors"] : []),
    "|a|",
    "|b - a|",
    "relative",
    "cosine",
    "largest",
    "changed",
    ...thresholds.map((above) => `> ${above}`),
  ];
  const cells = ({ name, tensors, leftNorm, norm, relative, cosine, largest, density }: (typeof rows)[number]) => [
    name,
    ...(counts ? [String(tensors)] : []),
    number(leftNorm),
    number(norm),
    share(relative),
    fraction(cosine),
    number(largest),
    ...density.map(({ share: part }) => share(part)),
  ];
  return aligned([head, ...rows.map(cells)]);
}

/** How far both lie from their base, and where their changes contradict. */
function baseTable(by: string, rows: readonly (Difference & { name: string })[]): string {
  const head = [by, "|base|", "|a - base|", "relative", "|b - base|", "relative", "cosine", "conflicts"];
  const relative = (change: number | undefined, norm: number | undefined) =>
    share(norm ? (change ?? 0) / norm : undefined);
  const cells = ({ name, base }: (typeof rows)[number]) => [
    name,
    number(base?.norm),
    number(base?.leftChange),
    relative(base?.leftChange, base?.norm),
    number(base?.rightChange),
    relative(base?.rightChange, base?.norm),
    fraction(base?.cosine),
    share(base?.signConflicts),
  ];
  return aligned([head, ...rows.map(cells)]);
}

/** Names to the left, numbers to the right. */
function aligned(given: readonly (readonly string[])[]): string {
  const rows = given.map((row) => row.map(visibleName));
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows
    .map((row) =>
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  "),
    )
    .join("\n");
}

/** What is said of tensors of integers: how many are the same, and which are not. */
export function integersText(exact: DiffResult["exact"]): string {
  const others = exact.filter(({ same }) => !same).map(({ tensor }) => tensor);
  const same = exact.length - others.length;
  if (others.length === 0) return `Tensors of integers: ${same}, all the same`;
  return `Tensors of integers: ${same} the same, ${others.length} not: ${some(others)}`;
}

function leftOut({ left, right, total, exact, onlyLeft, onlyRight, notCompared }: DiffResult): string[] {
  const { nonFinite, base } = total;
  const broken = nonFinite.left + nonFinite.right + (base?.nonFinite ?? 0);
  const sections = [
    ...(exact.length === 0 ? [] : [integersText(exact)]),
    ...(onlyLeft.length === 0 ? [] : [`Only in ${left}: ${some(onlyLeft)}`]),
    ...(onlyRight.length === 0 ? [] : [`Only in ${right}: ${some(onlyRight)}`]),
    ...(notCompared.length === 0
      ? []
      : [`Not compared: ${some(notCompared.map(({ tensor, reason }) => `${tensor} (${reason})`))}`]),
    ...(broken === 0
      ? []
      : [`NaN or infinity, left out of all figures: ${nonFinite.left} in ${left}, ${nonFinite.right} in ${right}`]),
  ];
  return sections.length === 0 ? [] : [sections.join("\n")];
}

function some(names: readonly string[]): string {
  const rest = names.length - LISTED;
  return names.slice(0, LISTED).map(visibleName).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

const NONE = "-";

function number(value: number | undefined): string {
  if (value === undefined) return NONE;
  if (value === 0) return "0";
  return value >= 0.01 && value < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}

function share(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  const percent = 100 * value;
  if (percent === 0) return "0 %";
  return `${percent < 0.01 ? percent.toExponential(1) : percent.toFixed(percent < 9.995 ? 2 : 1)} %`;
}

function fraction(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : closeToOne(value);
}

/** A cosine with as many digits as tell it from 1: fine-tunes of one model are that close. */
export function closeToOne(cosine: number): string {
  return cosine.toFixed(6);
}
