import { expect, test } from "bun:test";
import { type LineChart, lineChart } from "../../src/report/line-chart.ts";
import { elements, parseMarkup } from "./well-formed.ts";

function draw(series: LineChart["series"], at = (series[0]?.values ?? []).map((_, i) => i)) {
  const root = parseMarkup(lineChart({ title: "<Lines> & more", unit: "layer", at, series, format: String }));
  const svg = elements(root, "svg").find(({ attributes }) => attributes.get("role") === "img");
  const lines = elements(svg as never, "path").filter(({ attributes }) => attributes.get("d")?.startsWith("M"));
  return { root, svg, lines, dots: elements(svg as never, "circle") };
}

test("every series has a line with a colour and a dash of its own, and its name in the legend", () => {
  const { root } = draw([
    { name: "one", values: [1, 2, 3] },
    { name: "two", values: [3, 2, 1] },
  ]);
  expect(elements(root, "li").map(({ text }) => text)).toEqual(["one", "two"]);
  const strokes = elements(root, "g").flatMap(({ attributes }) => attributes.get("stroke-dasharray") ?? []);
  expect(strokes).toContain("6 3");
  expect(elements(draw([{ name: "alone", values: [1] }]).root, "li")).toEqual([]);
});

test("larger values stand higher, and a value that is none leaves a gap", () => {
  const { dots } = draw([{ name: "one", values: [1, 2, Number.NaN, 4] }]);
  const heights = dots.map(({ attributes }) => Number(attributes.get("cy")));
  expect(heights).toHaveLength(3);
  expect(heights).toEqual(heights.toSorted((a, b) => b - a));
});

test("lines of one value, of nothing and of one height are drawings with a name", () => {
  for (const values of [[5], [], [0, 0], [Number.NaN]]) {
    const { svg } = draw([{ name: "one", values }]);
    expect(svg?.attributes.get("aria-label")).toBe("<Lines> & more");
  }
});
