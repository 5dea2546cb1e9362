import { escapeXml } from "./xml.ts";

/** A chart, and its figures as a table for those who cannot see it or want to copy them. */
export interface Figure {
  title: string;
  /** What it shows and how to read it. */
  text: string;
  /** SVG; several stand side by side where there is room. */
  charts: readonly { caption?: string | undefined; svg: string }[];
  /** Column heads, the first that of the row heads. */
  head: readonly string[];
  /** Each begins with its head. */
  rows: readonly (readonly string[])[];
  /** Whether the table is closed until it is asked for. */
  folded?: boolean | undefined;
}

export interface Page {
  title: string;
  /** Paragraphs below the title. */
  intro: readonly string[];
  /** Text that keeps its lines. */
  texts?: readonly { title: string; text: string }[] | undefined;
  figures: readonly Figure[];
  /** Closing lists. */
  lists: readonly { title: string; items: readonly string[] }[];
}

/**
 * One HTML file that needs nothing else: no network, no script. It is well-formed XML as well, follows the light or dark
 * scheme that the reader prefers, and can be printed.
 */
export function renderPage({ title, intro, texts = [], figures, lists }: Page): string {
  const body = [
    `<h1>${escapeXml(title)}</h1>`,
    ...intro.map((text) => `<p>${escapeXml(text)}</p>`),
    ...texts.map(
      ({ title, text }) =>
        `<section><h2>${escapeXml(title)}</h2>${scrolling(title, `<pre>${escapeXml(text)}</pre>`)}</section>`,
    ),
    ...figures.map(renderFigure),
    ...lists.map(
      ({ title, items }) => `<section><h2>${escapeXml(title)}</h2><ul>${items.map(item).join("")}</ul></section>`,
    ),
  ];
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<title>${escapeXml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${body.join("\n")}
</main>
</body>
</html>
`;
}

function item(text: string): string {
  return `<li>${escapeXml(text)}</li>`;
}

/** What may be wider than the page: it can be reached and scrolled with the keyboard. */
function scrolling(label: string, content: string): string {
  return `<div class="wide" tabindex="0" role="region" aria-label="${escapeXml(label)}">${content}</div>`;
}

function renderFigure({ title, text, charts, head, rows, folded }: Figure): string {
  const drawn = charts.map(({ caption, svg }) => {
    return `<div>${caption === undefined ? "" : `<h3>${escapeXml(caption)}</h3>`}${svg}</div>`;
  });
  return `<section>
<h2>${escapeXml(title)}</h2>
<p>${escapeXml(text)}</p>
${drawn.length === 0 ? "" : `<div class="charts">${drawn.join("\n")}</div>`}
${folded ? `<details><summary>${escapeXml(title)}: the figures</summary>${table(title, head, rows)}</details>` : table(title, head, rows)}
</section>`;
}

function table(caption: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const heads = head.map((cell) => `<th scope="col">${escapeXml(cell)}</th>`).join("");
  const lines = rows.map(([first = "", ...cells]) => {
    const rest = cells.map((cell) => `<td>${escapeXml(cell)}</td>`).join("");
    return `<tr><th scope="row">${escapeXml(first)}</th>${rest}</tr>`;
  });
  const whole = `<table>
<caption>${escapeXml(caption)}</caption>
<thead><tr>${heads}</tr></thead>
<tbody>
${lines.join("\n")}
</tbody>
</table>`;
  return scrolling(caption, whole);
}

/** Colours after Okabe and Ito, which colour-blind readers tell apart; darker or lighter to stand out from the ground. */
const STYLE = `
:root {
  --ground: #ffffff; --text: #1c1e21; --faint: #5c636b; --line: #d5d9de;
  --series-0: #0072b2; --series-1: #d55e00; --series-2: #009e73; --series-3: #b0549a;
  --series-4: #9a7500; --series-5: #3a7fb5; --series-6: #6b6b6b; --series-7: #7a3e00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #16181b; --text: #e6e8ea; --faint: #a2a9b1; --line: #3a4048;
    --series-0: #56b4e9; --series-1: #ff8c42; --series-2: #2fc79b; --series-3: #e08cc4;
    --series-4: #f0c94a; --series-5: #8ec8f0; --series-6: #a8a8a8; --series-7: #c98a4b;
  }
}
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem; }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: 0.5rem 0; }
p, li { max-width: 46rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.5rem; }
svg { display: block; width: 100%; height: auto; max-width: 46rem; }
svg text { fill: var(--text); font-size: 11px; dominant-baseline: central; }
svg .label { text-anchor: end; }
svg .value { fill: var(--faint); font-variant-numeric: tabular-nums; }
svg .column { text-anchor: start; }
svg .cell { stroke: var(--line); stroke-width: 0.5; }
svg .none { fill: none; stroke: var(--line); stroke-dasharray: 2 2; }
svg .zero { stroke: var(--faint); stroke-width: 1; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; margin: 0.5rem 0; padding: 0; }
.swatch { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.4em; }
.wide { overflow-x: auto; margin-top: 1rem; }
.wide:focus-visible, summary:focus-visible { outline: 2px solid var(--series-0); outline-offset: 2px; }
summary { cursor: pointer; color: var(--faint); margin-top: 0.5rem; }
pre { font-size: 0.875rem; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); padding: 0.25rem 0; }
th, td { padding: 0.2rem 0.75rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th[scope="row"], th:first-child { text-align: left; font-weight: 600; }
`;
