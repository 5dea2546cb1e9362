import pkg from "../../package.json" with { type: "json" };
import { escapeHtml } from "./highlight.ts";
import type { Rendered } from "./markdown.ts";
import { SECTIONS, SITE_PAGES, type SitePage } from "./pages.ts";

/** A page of the site as a whole document. It loads its style and its script from beside it, and nothing else. */
export function pageHtml(page: SitePage, { html, title, headings }: Rendered): string {
  const name = page.file === "index.html" ? `${title}: ${pkg.description}` : `${title} · Sinter`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(name)}</title>
<meta name="description" content="${escapeHtml(page.description)}">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
<script src="site.js" defer></script>
</head>
<body>
<a class="skip" href="#content">Skip to the text</a>
<header>
<a class="brand" href="index.html">Sinter <small>${pkg.version}</small></a>
<form class="search" role="search">
<label for="search">Search</label>
<input id="search" type="search" autocomplete="off" placeholder="Search ( / )" aria-controls="found" aria-describedby="found-count">
<p id="found-count" class="hidden" role="status"></p>
<ul id="found" hidden></ul>
</form>
<button id="theme" type="button" hidden>Dark</button>
</header>
<div class="columns">
<nav aria-label="Pages"><details id="pages" open><summary>Pages</summary>
${navigation(page)}
</details></nav>
<main id="content" tabindex="-1">
${html}
${neighbours(page)}
</main>
${contents(headings)}
</div>
</body>
</html>
`;
}

function navigation(current: SitePage): string {
  return SECTIONS.map(({ title, pages }) => {
    const items = pages.map((page) => {
      const here = page === current ? ' aria-current="page"' : "";
      return `<li><a href="${page.file}"${here}>${escapeHtml(page.label)}</a></li>`;
    });
    return `<h2>${title}</h2>\n<ul>\n${items.join("\n")}\n</ul>`;
  }).join("\n");
}

/** Headings of levels 2 and 3, where there are several. */
function contents(headings: Rendered["headings"]): string {
  const shown = headings.filter(({ level }) => level === 2 || level === 3);
  if (shown.length < 2) return "";
  const items = shown.map(({ level, id, html }) => {
    const words = html.replace(/<\/?a\b[^>]*>/g, "");
    return `<li class="level-${level}"><a href="#${id}">${words}</a></li>`;
  });
  return `<nav class="contents" aria-label="On this page"><h2>On this page</h2>\n<ul>\n${items.join("\n")}\n</ul></nav>`;
}

function neighbours(page: SitePage): string {
  const at = SITE_PAGES.indexOf(page);
  const link = (other: SitePage | undefined, rel: "prev" | "next") =>
    other === undefined ? "" : `<a rel="${rel}" href="${other.file}">${escapeHtml(other.label)}</a>`;
  return `<nav class="neighbours" aria-label="Previous and next page">${link(SITE_PAGES[at - 1], "prev")}${link(SITE_PAGES[at + 1], "next")}</nav>`;
}
