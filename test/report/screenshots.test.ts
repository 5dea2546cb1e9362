/**
 * Pages held to pictures. `bun run screenshots` takes the pictures anew, after a change that is meant to be seen: look at
 * them before you commit them.
 *
 * All text is drawn in a font of boxes (screenshots/box.ttf: every character is the same rectangle), because fonts differ
 * from machine to machine; places, lines, colours and wrapping are what is compared. Pictures are half as large as the page.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pixelmatch from "pixelmatch";
import { PNG } from "pngjs";
import { PATIENCE } from "../support/patience.ts";
import { type Browser, CHROMIUM, startChromium } from "./browser.ts";
import { PAGES } from "./pages.ts";

const PICTURES = join(import.meta.dir, "screenshots");
const UPDATE = process.env.UPDATE_SCREENSHOTS === "1";
/** Difference of colour that counts, from 0 to 1; and the share of pixels that may differ: edges are drawn otherwise by other versions. */
const COLOUR = 0.15;
const SHARE = 0.004;
const VIEWS = [
  { name: "light", scheme: "light", width: 1280 },
  { name: "dark", scheme: "dark", width: 1280 },
  { name: "narrow", scheme: "light", width: 380 },
] as const;

/** Rendered in a process of their own, as a command does it: see pages.ts. */
function renderedPages(): Map<string, string> {
  const child = Bun.spawnSync([process.execPath, join(import.meta.dir, "pages.ts")], { stderr: "inherit" });
  return new Map(JSON.parse(child.stdout.toString()));
}

const BOXES = readFileSync(join(PICTURES, "box.ttf")).toString("base64");
const USE_BOXES = `(async () => {
  const font = await new FontFace("box", "url(data:font/ttf;base64,${BOXES})").load();
  document.fonts.add(font);
  const style = document.createElement("style");
  style.textContent = "* { font-family: box !important; }";
  document.head.append(style);
  await document.fonts.ready;
  return Math.ceil(document.documentElement.scrollHeight);
})()`;

const folder = mkdtempSync(join(tmpdir(), "sinter-pictures-"));
let browser: Browser | undefined;
let pages = new Map<string, string>();
let failed = false;

beforeAll(async () => {
  if (CHROMIUM === undefined) return;
  pages = renderedPages();
  browser = await startChromium({ FONTCONFIG_FILE: join(PICTURES, "fonts.conf") });
}, PATIENCE);

afterAll(async () => {
  await browser?.close();
  if (failed) console.warn(`What the pages look like, and where they differ: ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
});

async function picture(page: string, { scheme, width }: (typeof VIEWS)[number]): Promise<PNG> {
  const file = join(folder, "page.html");
  // The page's own policy forbids the font of boxes.
  writeFileSync(file, page.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, ""));
  let data = "";
  await (browser as Browser).open(file, async (tab) => {
    await tab.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
    await tab.call("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: false });
    const height = await tab.value<number>(USE_BOXES);
    const clip = { x: 0, y: 0, width, height, scale: 0.5 };
    const shot = await tab.call<{ data: string }>("Page.captureScreenshot", {
      format: "png",
      captureBeyondViewport: true,
      clip,
    });
    data = shot.data;
  });
  return PNG.sync.read(Buffer.from(data, "base64"));
}

/** @returns the share of pixels that differ; 1 where the sizes do. */
function difference(found: PNG, wanted: PNG, name: string): number {
  const { width, height } = found;
  if (wanted.width !== width || wanted.height !== height) {
    console.warn(`${name} is ${width}x${height}, and was ${wanted.width}x${wanted.height}`);
    return 1;
  }
  const shown = new PNG({ width, height });
  const pixels = pixelmatch(wanted.data, found.data, shown.data, width, height, { threshold: COLOUR });
  if (pixels > SHARE * width * height) writeFileSync(join(folder, `${name}-difference.png`), PNG.sync.write(shown));
  return pixels / (width * height);
}

describe.skipIf(CHROMIUM === undefined)("in Chromium", () => {
  for (const page of Object.keys(PAGES)) {
    // One page in every view, which all share a style; of the others one picture each.
    for (const view of page === "merge" ? VIEWS : VIEWS.slice(0, 1)) {
      test(
        `the page of ${page} looks as it did, ${view.name}`,
        async () => {
          const name = `${page}-${view.name}`;
          const file = join(PICTURES, `${name}.png`);
          const found = await picture(pages.get(page) as string, view);
          if (UPDATE) {
            writeFileSync(file, PNG.sync.write(found, { deflateLevel: 9, colorType: 2 }));
            return;
          }
          expect(existsSync(file)).toBe(true);
          const share = difference(found, PNG.sync.read(readFileSync(file)), name);
          failed ||= share > SHARE;
          if (share > SHARE) writeFileSync(join(folder, `${name}.png`), PNG.sync.write(found));
          expect(share).toBeLessThanOrEqual(SHARE);
        },
        PATIENCE,
      );
    }
  }

  test(
    "a page with other colours is another picture",
    async () => {
      const page = pages.get("merge") as string;
      const [light] = VIEWS;
      const [found, other] = [
        await picture(page, light),
        await picture(page.replaceAll("var(--amount-", "var(--direction-"), light),
      ];
      expect(difference(found, found, "same")).toBe(0);
      expect(difference(other, found, "other")).toBeGreaterThan(SHARE);
    },
    PATIENCE,
  );
});
