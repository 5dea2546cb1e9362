import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PATIENCE } from "../support/patience.ts";
import { type Browser, CHROMIUM, startChromium, type Tab } from "./browser.ts";
import { examplePage, PAGES } from "./pages.ts";

const folder = mkdtempSync(join(tmpdir(), "sinter-page-"));
let browser: Browser | undefined;

if (CHROMIUM === undefined) console.warn("Pages are not tried in a browser: there is no Chromium (package chromium)");

beforeAll(async () => {
  if (CHROMIUM !== undefined) browser = await startChromium();
}, PATIENCE);

afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(page: string, use: (tab: Tab) => Promise<void>): Promise<void> {
  const file = join(folder, "page.html");
  writeFileSync(file, page);
  await (browser as Browser).open(file, use);
}

/** Contrast of text on its ground, as WCAG 2 defines it, for every element of a drawing or a table that has text. */
const LEAST_CONTRAST = `(() => {
  const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const texts = [...document.querySelectorAll("p, h1, h2, h3, th, td, summary, li, a, svg text")];
  return Math.min(...texts.map((one) => {
    const style = getComputedStyle(one);
    const own = light(one instanceof SVGElement ? style.fill : style.color);
    return (Math.max(own, ground) + 0.05) / (Math.min(own, ground) + 0.05);
  }));
})()`;

async function setScheme(tab: Tab, value: "light" | "dark"): Promise<void> {
  await tab.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value }] });
}

async function press(tab: Tab, key: string, code: number): Promise<void> {
  const text = key === "Enter" ? "\r" : undefined;
  await tab.call("Input.dispatchKeyEvent", { type: "keyDown", key, windowsVirtualKeyCode: code, text });
  await tab.call("Input.dispatchKeyEvent", { type: "keyUp", key, windowsVirtualKeyCode: code });
}

describe.skipIf(CHROMIUM === undefined)("in Chromium", () => {
  for (const [name, render] of Object.entries({ ...PAGES, "a deep merge": () => examplePage() })) {
    test(
      `the page of ${name} loads nothing, complains of nothing, and reads well in light and dark and on a narrow screen`,
      async () => {
        await open(render(), async (tab) => {
          expect(tab.seen("Network.requestWillBeSent").length).toBe(1);
          expect([tab.seen("Log.entryAdded"), tab.seen("Runtime.exceptionThrown")]).toEqual([[], []]);
          expect(tab.seen("Runtime.consoleAPICalled")).toEqual([]);
          const grounds: string[] = [];
          for (const scheme of ["light", "dark"] as const) {
            await setScheme(tab, scheme);
            expect(await tab.value<number>(LEAST_CONTRAST)).toBeGreaterThan(4.5);
            grounds.push(await tab.value<string>("getComputedStyle(document.body).backgroundColor"));
          }
          expect(new Set(grounds).size).toBe(2);
          for (const width of [360, 1280]) {
            const metrics = { width, height: 800, deviceScaleFactor: 1, mobile: false };
            await tab.call("Emulation.setDeviceMetricsOverride", metrics);
            expect(await tab.value<number>("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
          }
        });
      },
      PATIENCE,
    );

    test(
      `the page of ${name} passes the rules of axe-core, in light and dark, with its tables open`,
      async () => {
        const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
        await open(render(), async (tab) => {
          await tab.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
          await tab.value(`${axe}; undefined`);
          for (const scheme of ["light", "dark"] as const) {
            await setScheme(tab, scheme);
            const found = await tab.value<string[]>(
              `axe.run().then(({ violations }) => violations.flatMap(({ id, impact, nodes }) =>
              nodes.slice(0, 3).map(({ html }) => [impact, id, html.slice(0, 120)].join(" "))))`,
            );
            expect(found).toEqual([]);
          }
        });
      },
      PATIENCE,
    );

    test(
      `every drawing on the page of ${name} has a name, and no label leaves its drawing or lies on another`,
      async () => {
        await open(render(), async (tab) => {
          const { nodes } = await tab.call<{ nodes: { role?: { value: string }; name?: { value: string } }[] }>(
            "Accessibility.getFullAXTree",
          );
          const named = nodes.filter(({ role }) => role?.value === "image" || role?.value === "img");
          expect(named.length).toBe(await tab.value<number>("document.querySelectorAll('svg[role=img]').length"));
          expect(named.every(({ name }) => (name?.value ?? "") !== "")).toBe(true);
          const wrong = await tab.value<string[]>(`[...document.querySelectorAll("svg[role=img]")].flatMap((svg) => {
          const all = svg.getBoundingClientRect();
          const texts = [...svg.querySelectorAll("text")].map((text) => ({ text: text.textContent, at: text.getBoundingClientRect() }));
          const outside = texts.filter(({ at }) => at.left < all.left - 1 || at.right > all.right + 1 || at.top < all.top - 2 || at.bottom > all.bottom + 2);
          const over = texts.filter((a, i) => texts.slice(i + 1).some((b) =>
            a.at.left < b.at.right - 1 && b.at.left < a.at.right - 1 && a.at.top < b.at.bottom - 4 && b.at.top < a.at.bottom - 4));
          return [...outside, ...over].map(({ text }) => svg.getAttribute("aria-label") + ": " + text);
        })`);
          expect(wrong).toEqual([]);
        });
      },
      PATIENCE,
    );
  }

  test(
    "the keyboard reaches every drawing and every table, and opens it",
    async () => {
      await open(examplePage(), async (tab) => {
        const stops = await tab.value<number>("document.querySelectorAll('summary').length");
        const drawings = await tab.value<number>("document.querySelectorAll('figure').length");
        expect([stops, drawings]).toEqual([11, 11]);
        const reached = new Set<string>();
        for (let opened = 0, presses = 0; opened < stops && presses < 100; presses++) {
          await press(tab, "Tab", 9);
          const [kind, label] = await tab.value<[string, string]>(
            "(({ tagName, parentElement, ariaLabel }) => [parentElement.tagName === 'FIGURE' ? 'FIGURE' : tagName, ariaLabel])(document.activeElement)",
          );
          if (kind === "FIGURE") reached.add(label);
          if (kind !== "SUMMARY") continue;
          await press(tab, "Enter", 13);
          opened++;
        }
        expect(await tab.value<number>("document.querySelectorAll('details[open]').length")).toBe(stops);
        expect(reached.size).toBe(drawings);
      });
    },
    PATIENCE,
  );

  test(
    "arrow keys and the pointer say the figure of a cell, which is that of the table",
    async () => {
      await open(examplePage(), async (tab) => {
        const tip = () =>
          tab.value<string>("document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent");
        await tab.value("document.querySelectorAll('figure.map > .wide')[1].focus()");
        for (const [key, code] of [
          ["ArrowRight", 39],
          ["ArrowRight", 39],
          ["ArrowDown", 40],
        ] as const)
          await press(tab, key, code);
        const figure = await tab.value<string>(
          "document.querySelectorAll('figure.map')[1].querySelector('table').rows[2].cells[2].textContent",
        );
        const module = await tab.value<string>(
          "document.querySelectorAll('figure.map')[1].querySelector('table').rows[0].cells[2].textContent",
        );
        expect(await tip()).toBe(`layer 1, ${module}: ${figure}`);
        await press(tab, "End", 35);
        expect(await tip()).toStartWith(`layer 23, ${module}: `);
        await press(tab, "Home", 36);
        expect(await tip()).toStartWith(`layer 0, ${module}: `);
        await press(tab, "Escape", 27);
        expect(await tip()).toBe("");
        const [x, y] = await tab.value<[number, number]>(`(async () => {
        const cell = document.querySelector("figure.map rect");
        cell.scrollIntoView({ block: "center" });
        // Scrolling hides what was said of a cell, and is told of in the next frame.
        for (let frames = 0; frames < 2; frames++) await new Promise(requestAnimationFrame);
        const { left, top, width, height } = cell.getBoundingClientRect();
        return [left + width / 2, top + height / 2];
      })()`);
        await tab.call("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
        expect(await tip()).toStartWith("layer 0, input_layernorm: ");
      });
    },
    PATIENCE,
  );

  test(
    "a page loads and runs nothing but what it came with, whatever might get into it, and colours are printed",
    async () => {
      const foreign =
        '<img src="http://127.0.0.1:9/x.png" onerror="window.ran = 1"/><script>window.ran = 2</script>' +
        '<link rel="stylesheet" href="http://127.0.0.1:9/x.css"/>';
      await open(
        examplePage().replace("<main>", () => `<main>${foreign}`),
        async (tab) => {
          expect(await tab.value<unknown>("window.ran")).toBeUndefined();
          const urls = tab.seen("Network.requestWillBeSent").map((event) => (event as Request).request.url);
          const failed = tab.seen("Network.loadingFailed").map((event) => (event as Failed).blockedReason);
          expect(failed.every((reason) => reason === "csp")).toBe(true);
          expect(urls.length - failed.length).toBe(1);
          const { data } = await tab.call<{ data: string }>("Page.printToPDF");
          expect(data.length).toBeLessThan(1e6);
          const dark = [{ name: "prefers-color-scheme", value: "dark" }];
          await tab.call("Emulation.setEmulatedMedia", { media: "print", features: dark });
          const ground = "getComputedStyle(document.body).backgroundColor";
          expect(await tab.value<string>(ground)).toBe("rgb(255, 255, 255)");
          const printed = "getComputedStyle(document.querySelector('.key i')).printColorAdjust";
          expect(await tab.value<string>(printed)).toBe("exact");
        },
      );
    },
    PATIENCE,
  );

  test(
    "sixty-one layers with 256 experts each are one map by module and one by groups of experts, in a page of 2 MB",
    async () => {
      const page = deepMixture();
      expect(page.length).toBeLessThan(2e6);
      await open(page, async (tab) => {
        const cells = await tab.value<number[]>(
          "[...document.querySelectorAll('figure.map')].map((map) => map.querySelectorAll('svg rect').length)",
        );
        expect(Math.max(...cells)).toBeLessThanOrEqual(6200);
      });
    },
    PATIENCE,
  );
});

interface Request {
  request: { url: string };
}

interface Failed {
  blockedReason?: string;
}

/** The layers of a large mixture. */
function deepMixture(): string {
  const matrix = { dtype: "BF16", shape: [4, 4] } as const;
  const tensors: Record<string, typeof matrix> = {};
  for (let layer = 0; layer < 61; layer++) {
    for (let expert = 0; expert < 256; expert++) {
      for (const name of ["gate", "up", "down"])
        tensors[`model.layers.${layer}.mlp.experts.${expert}.${name}_proj.weight`] = matrix;
    }
  }
  return examplePage({ layers: 61, tensors });
}
