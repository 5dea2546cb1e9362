import { statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { ROOT } from "../paths.ts";
import { SITE_PAGES } from "./pages.ts";

/** A link of a document, as the site has it. */
export interface SiteLink {
  href: string;
  /** A file of the repository that the site has to hold, too. */
  copy?: string;
  /** What the page at its end is called, for links that show a file's name. */
  label?: string;
}

/** Folders that pages stand for. */
const FOLDERS: Readonly<Record<string, string>> = {
  examples: "examples.html",
  "examples/moe": "examples.html#mixtures-of-experts",
  "examples/programs": "examples.html#other-programs",
  schemas: "schemas.html",
};

/**
 * Where a link of a document leads in the site: another page, a heading, or a copy of a file.
 * @param source the document's path in the repository. @throws where there is nothing at its end.
 */
export function siteLink(source: string, target: string): SiteLink {
  if (/^[a-z]+:/.test(target) || target.startsWith("#")) return { href: target };
  const [path = "", anchor] = target.split("#");
  const file = normalize(join(dirname(source), path));
  const hash = anchor === undefined ? "" : `#${anchor}`;
  const page = SITE_PAGES.find((one) => one.source === file);
  if (page !== undefined) return { href: page.file + hash, label: page.label };
  const folder = FOLDERS[file];
  if (folder !== undefined) return { href: folder };
  if (!statSync(join(ROOT, file), { throwIfNoEntry: false })?.isFile()) {
    throw new Error(`${source} links to ${target}, which is no page and no file`);
  }
  return { href: `files/${file}${hash}`, copy: file };
}
