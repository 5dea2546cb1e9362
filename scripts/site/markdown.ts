import { Marked, type Tokens } from "marked";
import { escapeHtml, highlighted } from "./highlight.ts";
import type { SiteLink } from "./links.ts";

export interface Heading {
  level: number;
  id: string;
  /** HTML of the words. */
  html: string;
}

/** A heading with the text below it, as the search knows it. */
export interface Passage {
  /** Of the heading that it stands under; empty: the top of the page. */
  id: string;
  heading: string;
  text: string;
}

export interface Rendered {
  html: string;
  /** The first heading of level 1. */
  title: string;
  headings: readonly Heading[];
  passages: readonly Passage[];
  /** Files of the repository that links lead to. */
  copies: readonly string[];
}

/** GitHub's Markdown as HTML: the same anchors as there, tables that scroll, code that is coloured. */
export function renderMarkdown(markdown: string, link: (target: string) => SiteLink): Rendered {
  const headings: Heading[] = [];
  const passages: { id: string; heading: string; text: string }[] = [{ id: "", heading: "", text: "" }];
  const copies: string[] = [];
  const slug = slugger();
  const marked = new Marked({
    gfm: true,
    renderer: {
      heading({ tokens, depth }: Tokens.Heading) {
        const html = this.parser.parseInline(tokens);
        const words = plainText(html);
        const id = slug(words);
        headings.push({ level: depth, id, html });
        passages.push({ id: depth === 1 ? "" : id, heading: words, text: "" });
        if (depth === 1) return `<h1 id="${id}">${html}</h1>\n`;
        const anchor = `<a class="anchor" href="#${id}" aria-label="Link to ${escapeHtml(words)}">#</a>`;
        return `<h${depth} id="${id}">${html} ${anchor}</h${depth}>\n`;
      },
      link({ href, title, tokens }: Tokens.Link) {
        const found = link(href);
        if (found.copy !== undefined) copies.push(found.copy);
        const name = title ? ` title="${escapeHtml(title)}"` : "";
        const words = this.parser.parseInline(tokens);
        const shown = found.label !== undefined && words.endsWith(".md") ? escapeHtml(found.label) : words;
        return `<a href="${escapeHtml(found.href)}"${name}>${shown}</a>`;
      },
      code({ text, lang = "" }: Tokens.Code) {
        return codeBlock(text, lang);
      },
      table(token: Tokens.Table) {
        const row = (cells: readonly Tokens.TableCell[], tag: "td" | "th") =>
          `<tr>${cells.map((cell) => tableCell(cell, tag, this.parser.parseInline(cell.tokens))).join("")}</tr>`;
        const body = token.rows.map((cells) => row(cells, "td")).join("\n");
        return `<div class="table" tabindex="0" role="group" aria-label="Table"><table>\n<thead>${row(token.header, "th")}</thead>\n<tbody>\n${body}\n</tbody></table></div>\n`;
      },
    },
  });
  const html = marked.parse(markdown, { async: false });
  collectText(html, passages);
  const title = plainText(headings.find(({ level }) => level === 1)?.html ?? "");
  return { html, title, headings, passages, copies };
}

/** A block of code that the keyboard can scroll. */
export function codeBlock(code: string, language: string): string {
  const name = language === "" ? "" : ` class="language-${language}"`;
  return `<div class="code"><pre tabindex="0"><code${name}>${highlighted(code, language)}</code></pre></div>\n`;
}

function tableCell({ align }: Tokens.TableCell, tag: "td" | "th", html: string): string {
  // A column without a name has no header: readers would announce an empty one.
  if (tag === "th" && html === "") return "<td></td>";
  const scope = tag === "th" ? ' scope="col"' : "";
  return `<${tag}${scope}${align ? ` class="${align}"` : ""}>${html}</${tag}>`;
}

/** Fills the passages with the words between their headings. */
function collectText(html: string, passages: { text: string }[]): void {
  const parts = html.split(/<h[1-6] id="[^"]*">.*?<\/h[1-6]>/s);
  parts.forEach((part, i) => {
    const passage = passages[i];
    if (passage !== undefined) passage.text = plainText(part);
  });
}

/** The words of HTML. */
export function plainText(html: string): string {
  const entities: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };
  return html
    .replace(/<\/(p|li|td|th|tr|pre|div)>/g, " ")
    .replace(/<[^>]+>/g, "")
    .replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => entities[name] ?? "")
    .replace(/\s+/g, " ")
    .trim();
}

/** Anchors as GitHub makes them of headings: small letters, no punctuation, dashes for spaces; repeated ones are counted. */
export function slugger(): (heading: string) => string {
  const seen = new Map<string, number>();
  return (heading) => {
    const slug = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M} _-]/gu, "")
      .replaceAll(" ", "-");
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    return count === 0 ? slug : `${slug}-${count}`;
  };
}
