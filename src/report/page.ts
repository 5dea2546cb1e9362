import { hasher } from "../hash.ts";
import script from "./explore.page.js" with { type: "text" };
import { STYLE } from "./page-style.ts";
import { escapeXml } from "./xml.ts";

/** Figures as text: column heads, the first that of the row heads; each row begins with its head. */
export interface Table {
  head: readonly string[];
  rows: readonly (readonly string[])[];
  /** Columns that hold words, not numbers. */
  words?: readonly number[] | undefined;
}

/** A drawing, and its figures as a table for those who cannot see it or want to copy them. */
export interface Chart {
  caption?: string | undefined;
  /** HTML: an SVG element, perhaps with a legend. */
  drawing: string;
  /** CSS pixels, where its head is to be as wide. */
  width?: number | undefined;
  /** HTML: what its colours mean. */
  key?: string | undefined;
  /** Closed until it is asked for. */
  table?: Table | undefined;
  /** The drawing is of cells, each with its figure in the table, in the same order: they can be walked through. */
  isMap?: boolean | undefined;
}

/** A heading and what stands below it, in the order of these keys. */
export interface Section {
  title: string;
  /** What it shows and how to read it. */
  text?: string | undefined;
  /** Text that keeps its lines. */
  literal?: string | undefined;
  charts?: readonly Chart[] | undefined;
  table?: Table | undefined;
  items?: readonly string[] | undefined;
}

/** Something that is said before all else. */
export interface Fact {
  name: string;
  value: string;
  /** Whether it is a check that was passed or not. */
  check?: "passed" | "failed" | undefined;
}

export interface Page {
  title: string;
  /** Paragraphs below the title. */
  intro: readonly string[];
  facts?: readonly Fact[] | undefined;
  sections: readonly Section[];
}

/** Fewer sections than these are found without a list of them. */
const LISTED_FROM = 5;

/**
 * One HTML file that needs nothing else, and no network: its policy forbids browsers to load anything, or to run any script
 * but its own. It is well-formed XML as well, follows the light or dark scheme that the reader prefers, and can be printed.
 * The script lets pointer and arrow keys ask maps for their figures: all of them stand in tables, too.
 */
export function renderPage({ title, intro, facts = [], sections }: Page): string {
  const ids = sections.map((section, i) => `${slug(section.title)}-${i + 1}`);
  const body = [
    `<header>\n<h1>${escapeXml(title)}</h1>`,
    ...intro.map((text) => `<p>${escapeXml(text)}</p>`),
    ...(facts.length === 0 ? [] : [`<dl class="facts">${facts.map(renderFact).join("")}</dl>`]),
    "</header>",
    ...(sections.length < LISTED_FROM ? [] : [contents(sections, ids)]),
    "<main>",
    ...sections.map((section, i) => renderSection(section, ids[i] as string)),
    "</main>",
  ];
  const hasMaps = sections.some(({ charts = [] }) => charts.some(({ isMap }) => isMap));
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="${policy(hasMaps)}"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<title>${escapeXml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
${body.join("\n")}
${hasMaps ? `${HATCHING}\n<script>${SCRIPT}</script>\n` : ""}</body>
</html>
`;
}

/** As HTML ignores the marks that keep XML from reading it. */
const SCRIPT = `/*<![CDATA[*/\n${script}/*]]>*/`;

/** What cells without a number are filled with: stripes by a gradient, as a pattern makes printed pages a hundred times larger. */
const HATCHING =
  '<svg class="defs" aria-hidden="true"><defs><linearGradient id="no-number" gradientUnits="userSpaceOnUse" ' +
  'x2="2.5" y2="2.5" spreadMethod="repeat"><stop offset="0"/><stop offset=".25"/><stop class="gap" offset=".25"/>' +
  '<stop class="gap" offset="1"/></linearGradient></defs></svg>';

function policy(hasScript: boolean): string {
  const sha256 = hasher("sha256");
  sha256.update(SCRIPT);
  const scripts = hasScript ? `script-src 'sha256-${Buffer.from(sha256.digest()).toString("base64")}'; ` : "";
  return `default-src 'none'; ${scripts}style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'`;
}

function slug(title: string): string {
  return title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
}

function renderFact({ name, value, check }: Fact): string {
  const mark = check === undefined ? "" : ` class="${check}"`;
  return `<div><dt>${escapeXml(name)}</dt><dd${mark}>${escapeXml(value)}</dd></div>`;
}

function contents(sections: readonly Section[], ids: readonly string[]): string {
  const links = sections.map(({ title }, i) => `<li><a href="#${ids[i]}">${escapeXml(title)}</a></li>`);
  return `<nav aria-label="Contents"><ul>${links.join("")}</ul></nav>`;
}

function renderSection({ title, text, literal, charts = [], table, items }: Section, id: string): string {
  return [
    `<section aria-labelledby="${id}">\n<h2 id="${id}">${escapeXml(title)}</h2>`,
    ...(text === undefined ? [] : [`<p>${escapeXml(text)}</p>`]),
    ...(literal === undefined ? [] : [scrolling(`${title}, text`, `<pre>${escapeXml(literal)}</pre>`)]),
    ...(charts.length === 0
      ? []
      : [`<div class="charts">${charts.map((chart) => renderChart(chart, title)).join("\n")}</div>`]),
    ...(table === undefined ? [] : [renderTable(title, table)]),
    ...(items === undefined ? [] : [`<ul>${items.map((item) => `<li>${escapeXml(item)}</li>`).join("")}</ul>`]),
    "</section>",
  ].join("\n");
}

function renderChart({ caption, drawing, width, key = "", table, isMap }: Chart, section: string): string {
  const name = caption === undefined ? section : `${section}: ${caption}`;
  const title = caption === undefined ? "" : `<h3>${escapeXml(caption)}</h3>`;
  const wide = width === undefined ? "" : ` style="max-width:${Math.ceil(width)}px"`;
  return [
    `<figure${isMap ? ' class="map"' : ""} aria-label="${escapeXml(name)}">`,
    title + key === "" ? "" : `<div class="head"${wide}>${title}${key}</div>`,
    scrolling(`${name}, drawing`, drawing),
    table === undefined
      ? ""
      : `<details><summary>The figures<span class="unseen"> of ${escapeXml(name)}</span></summary>${renderTable(name, table)}</details>`,
    "</figure>",
  ].join("");
}

/** What may be wider than the page: it can be reached and scrolled with the keyboard. */
function scrolling(label: string, content: string): string {
  return `<div class="wide" tabindex="0" role="region" aria-label="${escapeXml(label)}">${content}</div>`;
}

function renderTable(caption: string, { head, rows, words = [] }: Table): string {
  const mark = (column: number) => (words.includes(column) ? ' class="words"' : "");
  const heads = head.map((cell, i) => `<th scope="col"${mark(i)}>${escapeXml(cell)}</th>`).join("");
  const lines = rows.map(([first = "", ...cells]) => {
    const rest = cells.map((cell, i) => `<td${mark(i + 1)}>${escapeXml(cell)}</td>`).join("");
    return `<tr><th scope="row">${escapeXml(first)}</th>${rest}</tr>`;
  });
  const whole = `<table>
<caption class="unseen">${escapeXml(caption)}</caption>
<thead><tr>${heads}</tr></thead>
<tbody>
${lines.join("\n")}
</tbody>
</table>`;
  return scrolling(`${caption}, figures`, whole);
}
