/** Writes the documentation site to dist/site, or to the folder that is named. `bun run site` */
import { join, relative, resolve } from "node:path";
import { ROOT } from "./paths.ts";
import { buildSite } from "./site/build.ts";
import { SITE_PAGES } from "./site/pages.ts";

const folder = resolve(process.argv[2] ?? join(ROOT, "dist", "site"));
await buildSite(folder);
console.log(`${SITE_PAGES.length} pages: ${relative(process.cwd(), join(folder, "index.html"))}`);
