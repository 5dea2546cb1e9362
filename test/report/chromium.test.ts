import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MeasuredTensor } from "../../src/report/measure.ts";
import { mergePage } from "../../src/report/merge-page.ts";
import { plan as planOf, tinyModel } from "../plan/models.ts";
import { CHROMIUM, inChromium } from "./browser.ts";

const folder = mkdtempSync(join(tmpdir(), "sinter-page-"));
const file = join(folder, "page.html");

beforeAll(() => {
  const models = ["base", "a", "b"].map((name) => tinyModel(name, { layers: 24 }));
  const text =
    "merge_method: task_arithmetic\nbase_model: base\nmodels:\n- {model: a, parameters: {weight: [0, 1]}}\n- {model: b, parameters: {weight: 0.5}}\ndtype: bfloat16\n";
  const { plan } = planOf(text, models);
  const tensors = plan.ops.map((op, i): MeasuredTensor => {
    const inputs = op.inputs.map(({ model }, k) => {
      return {
        model,
        isReference: model === "base",
        squares: 4,
        distance: (i % 7) / 100 + k,
        change: 1,
        product: Math.cos(i),
      };
    });
    return {
      op,
      elements: 16,
      squares: 4 + (i % 3),
      nonFinite: 0,
      change: 1,
      changed: 16,
      conflicts: i % 5,
      others: 2,
      inputs,
    };
  });
  writeFileSync(
    file,
    mergePage({
      name: "merged",
      plan,
      measure: { tensors, notCompared: [], bytesRead: 1, seconds: 1 },
      speed: undefined,
    }),
  );
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Contrast of text on the page's ground, as WCAG 2 defines it, for every element that has text of its own. */
const LEAST_CONTRAST = `(() => {
  const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const texts = [...document.querySelectorAll("p, h1, h2, pre, th, td, caption, summary, li, svg text")];
  return Math.min(...texts.map((one) => {
    const style = getComputedStyle(one);
    const own = light(one instanceof SVGElement ? style.fill : style.color);
    return (Math.max(own, ground) + 0.05) / (Math.min(own, ground) + 0.05);
  }));
})()`;

describe.skipIf(CHROMIUM === undefined)("in Chromium", () => {
  test("the page loads nothing, complains of nothing, and reads well in light and dark and on a narrow screen", async () => {
    await inChromium(file, async (tab) => {
      expect(tab.seen("Network.requestWillBeSent").length).toBe(1);
      expect([tab.seen("Log.entryAdded"), tab.seen("Runtime.exceptionThrown")]).toEqual([[], []]);
      const grounds: string[] = [];
      for (const scheme of ["light", "dark"]) {
        await tab.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
        expect(await tab.value<number>(LEAST_CONTRAST)).toBeGreaterThan(4.5);
        grounds.push(await tab.value<string>("getComputedStyle(document.body).backgroundColor"));
      }
      expect(new Set(grounds).size).toBe(2);
      for (const width of [360, 1280]) {
        await tab.call("Emulation.setDeviceMetricsOverride", {
          width,
          height: 800,
          deviceScaleFactor: 1,
          mobile: false,
        });
        expect(await tab.value<number>("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
      }
    });
  }, 60_000);

  test("maps have names for readers, and no label leaves its drawing", async () => {
    await inChromium(file, async (tab) => {
      const { nodes } = await tab.call<{ nodes: { role?: { value: string }; name?: { value: string } }[] }>(
        "Accessibility.getFullAXTree",
      );
      const named = nodes.filter(({ role }) => role?.value === "image" || role?.value === "img");
      expect(named.length).toBe(8);
      expect(named.every(({ name }) => (name?.value ?? "") !== "")).toBe(true);
      const outside = await tab.value<string[]>(`[...document.querySelectorAll("svg text")].filter((text) => {
        const [own, all] = [text.getBoundingClientRect(), text.ownerSVGElement.getBoundingClientRect()];
        return own.left < all.left - 1 || own.right > all.right + 1 || own.top < all.top - 1 || own.bottom > all.bottom + 1;
      }).map((text) => text.textContent)`);
      expect(outside).toEqual([]);
    });
  }, 60_000);

  test("the keyboard reaches every table, and opens it", async () => {
    await inChromium(file, async (tab) => {
      const press = async (key: string, code: number) => {
        const text = key === "Enter" ? "\r" : undefined;
        await tab.call("Input.dispatchKeyEvent", { type: "keyDown", key, windowsVirtualKeyCode: code, text });
        await tab.call("Input.dispatchKeyEvent", { type: "keyUp", key, windowsVirtualKeyCode: code });
      };
      const stops = await tab.value<number>("document.querySelectorAll('summary').length");
      expect(stops).toBe(8);
      for (let opened = 0, presses = 0; opened < stops && presses < 60; presses++) {
        await press("Tab", 9);
        if ((await tab.value("document.activeElement.tagName")) !== "SUMMARY") continue;
        await press("Enter", 13);
        opened++;
      }
      expect(await tab.value<number>("document.querySelectorAll('details[open]').length")).toBe(stops);
    });
  }, 60_000);
});
