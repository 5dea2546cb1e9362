import { expect, test } from "bun:test";
import { barChart } from "../../src/report/bar-chart.ts";
import { type Element, elements, parseMarkup } from "./well-formed.ts";

function chart(values: number[][], series = ["one", "two"].slice(0, values[0]?.length)) {
  const groups = values.map((bars, i) => ({
    label: `row ${i}`,
    bars: bars.map((value) => ({ value, text: String(value) })),
  }));
  const root = parseMarkup(barChart({ title: "A chart", series, groups }));
  return { root, bars: elements(root, "rect"), zero: elements(root, "line").at(-1) as Element };
}

const number = (element: Element | undefined, name: string) => Number(element?.attributes.get(name));

test("bars are as long as their values, from a common zero", () => {
  const { bars, zero } = chart([[1], [2], [0]]);
  const [one, two, none] = bars;
  expect(number(two, "width")).toBeCloseTo(2 * number(one, "width"), 1);
  expect(number(none, "width")).toBe(0);
  for (const bar of bars) expect(number(bar, "x")).toBeCloseTo(number(zero, "x1"), 1);
});

test("negative values go the other way", () => {
  const { bars, zero } = chart([[1], [-0.5]]);
  const [right, left] = bars;
  expect(number(right, "x")).toBeCloseTo(number(zero, "x1"), 1);
  expect(number(left, "x") + number(left, "width")).toBeCloseTo(number(zero, "x1"), 1);
  expect(number(left, "width")).toBeCloseTo(number(right, "width") / 2, 1);
});

test("no bar and no text leaves the drawing", () => {
  const { root, bars } = chart([
    [3e9, -1e9],
    [1e-9, 2],
  ]);
  const [, , width = 0, height = 0] = (elements(root, "svg")[0]?.attributes.get("viewBox") ?? "")
    .split(" ")
    .map(Number);
  for (const bar of bars) {
    expect(number(bar, "x")).toBeGreaterThanOrEqual(0);
    expect(number(bar, "x") + number(bar, "width")).toBeLessThanOrEqual(width);
    expect(number(bar, "y") + number(bar, "height")).toBeLessThanOrEqual(height);
  }
});

test("a value that is none has its text and no bar", () => {
  const { root, bars } = chart([[Number.NaN], [1]]);
  expect(bars).toHaveLength(1);
  expect(elements(root, "text").map(({ text }) => text)).toContain("NaN");
});

test("charts of nothing and of zeros are still drawings", () => {
  expect(chart([], []).bars).toEqual([]);
  expect(chart([[0], [0]]).bars).toHaveLength(2);
});

test("several series have colours and a legend, one has none", () => {
  const two = chart([[1, 2]]);
  expect(elements(two.root, "li").map(({ text }) => text)).toEqual(["one", "two"]);
  expect(new Set(two.bars.map((bar) => bar.attributes.get("fill"))).size).toBe(2);
  expect(elements(chart([[1]]).root, "li")).toEqual([]);
});

test("names are escaped, long ones shortened at their start, and the drawing has a title for readers", () => {
  const label = "<b>&'\"";
  const long = "organisation/a-model-with-a-long-name-v2";
  const groups = [label, long].map((name) => ({ label: name, bars: [{ value: 1, text: "1" }] }));
  const root = parseMarkup(barChart({ title: "<A> & B", series: [""], groups }));
  const labels = elements(root, "text").map(({ text }) => text);
  expect(labels).toContain(label);
  expect(labels.find((text) => text.startsWith("…"))).toEndWith("-name-v2");
  expect(elements(root, "svg")[0]?.attributes.get("aria-label")).toBe("<A> & B");
});
