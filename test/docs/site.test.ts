import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/paths.ts";
import { SITE_PAGES, unlisted } from "../../scripts/site/pages.ts";
import { type Findable, indexOf } from "../../scripts/site/search.ts";
import { CHROMIUM, inChromium } from "../report/browser.ts";
import { PATIENCE } from "../support/patience.ts";

const folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-site-"));
const pages = new Map<string, string>();

function build(into: string): void {
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, join(ROOT, "scripts", "site.ts"), into]);
  expect([exitCode, stderr.toString()]).toEqual([0, ""]);
}

beforeAll(() => {
  build(join(folder, "site"));
  for (const { file } of SITE_PAGES) pages.set(file, readFileSync(join(folder, "site", file), "utf8"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const attributes = (html: string, name: string) =>
  [...html.matchAll(new RegExp(` ${name}="([^"]*)"`, "g"))].map((match) => match[1] ?? "");

describe("the site", () => {
  test("has every document of docs/ in its navigation", () => {
    expect(unlisted()).toEqual([]);
    expect(new Set(SITE_PAGES.map(({ file }) => file)).size).toBe(SITE_PAGES.length);
  });

  for (const { file } of SITE_PAGES) {
    test(`${file} links to pages, headings and files that are there`, () => {
      const html = pages.get(file) ?? "";
      for (const href of attributes(html, "href").filter((one) => !/^(https:|data:)/.test(one))) {
        const [path = "", anchor] = href.split("#");
        const target = path === "" ? html : readFileSync(join(folder, "site", path), "utf8");
        if (anchor !== undefined) expect([href, attributes(target, "id").includes(anchor)]).toEqual([href, true]);
      }
    });

    test(`${file} has a title, a description, one main heading, and no id twice`, () => {
      const html = pages.get(file) ?? "";
      expect(/<title>(.+)<\/title>/.exec(html)?.[1]?.length).toBeGreaterThan(8);
      expect(/<meta name="description" content="([^"]+)">/.exec(html)?.[1]?.length).toBeGreaterThan(30);
      expect(html.match(/<h1[ >]/g)?.length).toBe(1);
      const ids = attributes(html, "id");
      expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
      const levels = [...html.replace(/<nav[\s\S]*?<\/nav>/g, "").matchAll(/<h([1-6])/g)].map((match) =>
        Number(match[1]),
      );
      expect(levels.filter((level, i) => level > (levels[i - 1] ?? 0) + 1)).toEqual([]);
    });

    test(`${file} loads nothing from a network`, () => {
      const html = pages.get(file) ?? "";
      const loads = [...html.matchAll(/<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)="([^"]*)"/g)].map(
        (match) => match[1],
      );
      expect(loads).toEqual(["data:,", "style.css", "site.js"]);
    });
  }

  test("titles and descriptions are each page's own", () => {
    for (const pattern of [/<title>(.+)<\/title>/, /<meta name="description" content="([^"]+)">/]) {
      const found = [...pages.values()].map((html) => pattern.exec(html)?.[1]);
      expect(new Set(found).size).toBe(found.length);
    }
  });

  test("is the same bytes when it is built again", () => {
    build(join(folder, "again"));
    for (const name of readdirSync(join(folder, "site")).filter((one) => one.includes("."))) {
      const [one, other] = ["site", "again"].map((site) => readFileSync(join(folder, site, name)));
      expect([name, one?.equals(other as Buffer)]).toEqual([name, true]);
    }
  });
});

describe("the search", () => {
  const passages = () =>
    JSON.parse(
      readFileSync(join(folder, "site", "search-index.js"), "utf8").replace(/^window\.sinterPassages=|;\n$/g, ""),
    ) as Findable[];

  for (const [query, id] of [
    ["coming from mergekit", "from-mergekit.html"],
    ["ties density", "methods.html#ties"],
    ["lm_head", "index.html#shared-weights"],
    ["output-is-input", "troubleshooting.html#the-output"],
    ["--out-shard-size", "commands.html#sinter-merge"],
    ["perplexty", "forward.html"],
    ["exit cod", "exit-codes.html"],
  ] as const) {
    test(`finds ${id} by "${query}"`, () => {
      const found = indexOf(passages())(query).map((one) => one.id.replace(/(forward|exit-codes)\.html#.*/, "$1.html"));
      expect(found).toContain(id);
    });
  }

  test("every passage is at a heading that is there", () => {
    for (const { id } of passages()) {
      const [file = "", anchor] = id.split("#");
      if (anchor !== undefined)
        expect([id, attributes(pages.get(file) ?? "", "id").includes(anchor)]).toEqual([id, true]);
    }
  });
});

describe.skipIf(CHROMIUM === undefined)("in Chromium", () => {
  test(
    "the keyboard searches and goes to what was found, the theme is kept, and nothing is complained of",
    async () => {
      await inChromium(join(folder, "site", "install.html"), async (tab) => {
        const press = async (key: string, code: number, text?: string) => {
          await tab.call("Input.dispatchKeyEvent", { type: "keyDown", key, windowsVirtualKeyCode: code, text });
          await tab.call("Input.dispatchKeyEvent", { type: "keyUp", key, windowsVirtualKeyCode: code });
        };
        const until = async (expression: string) => {
          while (!(await tab.value<boolean>(expression))) await Bun.sleep(20);
        };
        await press("/", 191, "/");
        await until("document.activeElement.id === 'search' && window.sinterPassages !== undefined");
        await tab.call("Input.insertText", { text: "karcher" });
        await until("document.querySelectorAll('#found a').length > 0");
        expect(await tab.value<string>("document.querySelector('#found-count').textContent")).toMatch(/^\d+ found$/);
        await press("ArrowDown", 40);
        await until("document.activeElement.matches('#found a')");
        await press("Enter", 13, "\r");
        await until("location.pathname.endsWith('methods.html') && document.readyState === 'complete'");
        await tab.value("document.querySelector('#theme').click()");
        const theme = await tab.value<string>("document.documentElement.dataset.theme");
        await tab.call("Page.reload");
        await until(`document.readyState === 'complete' && document.documentElement.dataset.theme === '${theme}'`);
        expect([tab.seen("Log.entryAdded"), tab.seen("Runtime.exceptionThrown")]).toEqual([[], []]);
      });
    },
    PATIENCE,
  );

  test(
    "no rule of accessibility is broken, in light and dark, and narrow screens need not scroll sideways",
    async () => {
      await inChromium(join(folder, "site", "index.html"), async (tab) => {
        const axe = readFileSync(join(ROOT, "node_modules", "axe-core", "axe.min.js"), "utf8");
        for (const [file, scheme, width] of [
          ["index.html", "light", 360],
          ["methods.html", "dark", 360],
          ["commands.html", "light", 1280],
          ["troubleshooting.html", "dark", 1280],
        ] as const) {
          await tab.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
          await tab.call("Emulation.setDeviceMetricsOverride", {
            width,
            height: 800,
            deviceScaleFactor: 1,
            mobile: false,
          });
          await tab.call("Page.navigate", { url: `file://${join(folder, "site", file)}` });
          const loaded = `location.pathname.endsWith("${file}") && document.readyState === "complete"`;
          while (!(await tab.value<boolean>(loaded).catch(() => false))) await Bun.sleep(20);
          expect(await tab.value<number>("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
          await tab.value(
            `${axe}; axe.run().then((result) => { window.broken = result.violations.map(({ id }) => id); }); 0`,
          );
          while (!(await tab.value<boolean>("window.broken !== undefined"))) await Bun.sleep(20);
          expect([file, await tab.value<string>("window.broken.join()")]).toEqual([file, ""]);
        }
      });
    },
    PATIENCE,
  );
});
