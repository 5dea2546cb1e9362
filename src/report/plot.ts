import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { visible } from "../visible.ts";
import { escapeXml } from "./xml.ts";

/** What a drawing shows: Plot's own options, and a name for those who do not see it. */
export interface Drawing extends Omit<Plot.PlotOptions, "document" | "ariaLabel"> {
  title: string;
}

/** Plot wants a DOM to draw in; the elements are written out and forgotten. */
const { document } = parseHTML("<html></html>");

/** Attributes that hold numbers only: two decimals are finer than any screen. */
const NUMERIC = new Set([
  "fill-opacity",
  "x",
  "y",
  "x1",
  "x2",
  "y1",
  "y2",
  "width",
  "height",
  "transform",
  "d",
  "dx",
  "dy",
]);

/**
 * Draws with Observable Plot, as an SVG element of fixed size in CSS pixels. The page's style says how text and axes look,
 * and its custom properties are the colours, so that one drawing serves the light scheme and the dark one.
 */
export function draw({ title, ...options }: Drawing): string {
  const svg = Plot.plot({ ...options, document: document as never }) as unknown as Node;
  svg.querySelector("style")?.remove();
  for (const name of ["class", "fill", "font-size", "font-family"]) svg.removeAttribute(name);
  for (const element of svg.querySelectorAll("*")) {
    // The drawing is one image to a screen reader: its parts have no names of their own.
    element.removeAttribute("aria-label");
    element.removeAttribute("aria-hidden");
    for (const { name, value } of [...element.attributes]) {
      if (NUMERIC.has(name)) element.setAttribute(name, value.replace(/-?\d+\.\d{3,}(e-\d+)?/g, rounded));
    }
  }
  // linkedom leaves < and & in attributes as they are. A function, as in a replacement $& and $' would be places.
  return visible(svg.outerHTML).replace("<svg", () => `<svg role="img" aria-label="${escapeXml(title)}"`);
}

/** As much of an element as is used here: the project is not compiled with the types of a browser. */
interface Node {
  outerHTML: string;
  attributes: Iterable<{ name: string; value: string }>;
  querySelector(selector: string): Node | null;
  querySelectorAll(selector: string): Iterable<Node>;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  remove(): void;
}

function rounded(text: string): string {
  return String(Math.round(Number(text) * 100) / 100);
}
