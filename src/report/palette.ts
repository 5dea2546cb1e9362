import { scale } from "@observablehq/plot";

/** Steps of a scale of colours: more than an eye tells apart. */
export const STEPS = 32;

/**
 * From nearly nothing to most: dark violet, blue, green, pale green in equal steps of lightness (after "mako" of the seaborn
 * library), so that equal differences look equal, also to the colour-blind and in grey. What is most stands out most from
 * the ground: the light scheme goes through it backwards.
 */
const AMOUNT = ["#2e1e3c", "#413d7b", "#37659e", "#348fa7", "#40b7ad", "#8ad9b1", "#def5e5"];

/** From the opposite through nothing to the same: orange and blue of equal lightness, which no colour-blind eye confuses. */
const DIRECTION = {
  light: ["#7f3500", "#d5813a", "#f3f2ef", "#5c97cf", "#124579"],
  dark: ["#ffbd7f", "#b06a26", "#2a2e34", "#3d7fbd", "#9fd0ff"],
};

/** Custom properties `--amount-0` … and `--direction-0` … of one colour scheme. */
export function paletteStyle(scheme: "light" | "dark"): string {
  const amount = scheme === "light" ? AMOUNT.toReversed() : AMOUNT;
  return [...properties("amount", amount), ...properties("direction", DIRECTION[scheme])].join(" ");
}

function properties(name: string, stops: readonly string[]): string[] {
  const domain = stops.map((_, i) => i / (stops.length - 1));
  const colours = scale({ color: { type: "linear", domain, range: [...stops], interpolate: "lab" } });
  return Array.from({ length: STEPS + 1 }, (_, i) => `--${name}-${i}: ${hex(colours?.apply(i / STEPS))};`);
}

/** @param rgb `rgb(1, 2, 3)` */
function hex(rgb: string): string {
  return `#${[...rgb.matchAll(/\d+/g)].map(([part]) => Number(part).toString(16).padStart(2, "0")).join("")}`;
}
