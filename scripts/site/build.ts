import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../paths.ts";
import { pageHtml } from "./layout.ts";
import { siteLink } from "./links.ts";
import { madePage } from "./made-pages.ts";
import { type Rendered, renderMarkdown } from "./markdown.ts";
import { SITE_PAGES, type SitePage } from "./pages.ts";
import type { Findable } from "./search.ts";

/**
 * Writes the documentation as a folder of pages that a browser opens from a server or from the disk. The same documents
 * give the same bytes.
 * @param folder is emptied first.
 */
export async function buildSite(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const passages: Findable[] = [];
  const copies = new Set<string>(["LICENSE"]);
  for (const page of SITE_PAGES) {
    const rendered = await renderPage(page);
    writeFileSync(join(folder, page.file), pageHtml(page, rendered));
    passages.push(...passagesOf(page, rendered));
    for (const file of rendered.copies) copies.add(file);
  }
  for (const file of copies) {
    mkdirSync(join(folder, "files", dirname(file)), { recursive: true });
    cpSync(join(ROOT, file), join(folder, "files", file));
  }
  writeFileSync(join(folder, "search-index.js"), `window.sinterPassages=${JSON.stringify(passages)};\n`);
  cpSync(join(ROOT, "scripts", "site", "style.css"), join(folder, "style.css"));
  writeFileSync(join(folder, "site.js"), await browserScript());
}

/** What only those who edit the documents have to know. */
const FOR_EDITORS = /This page is made from [^:]*: do not edit it\.\s*/;

async function renderPage(page: SitePage): Promise<Rendered> {
  const { source } = page;
  const text = source === undefined ? await madePage(page.file) : readFileSync(join(ROOT, source), "utf8");
  return renderMarkdown(text.replace(FOR_EDITORS, ""), (target) => siteLink(source ?? page.file, target));
}

function passagesOf({ file }: SitePage, { passages, title }: Rendered): Findable[] {
  return passages
    .filter(({ heading, text }) => heading !== "" || text !== "")
    .map(({ id, heading, text }) => ({
      id: id === "" ? file : `${file}#${id}`,
      page: title,
      heading: heading === "" ? title : heading,
      text,
    }));
}

async function browserScript(): Promise<string> {
  const entry = join(ROOT, "scripts", "site", "browser", "site.ts");
  const built = await Bun.build({ entrypoints: [entry], target: "browser", format: "iife", minify: true });
  const [script] = built.outputs;
  if (script === undefined) throw new Error("the site's script was not built");
  return await script.text();
}
